import { type EmbedRequest, InternalError, MediaError, OverloadedError } from 'cosmos-embed'
import { describe, expect, it } from 'vitest'
import { doubleEmbedder, unitVector } from './embedder-double.ts'
import { errorBody, post, rawExchange, request, serveDouble } from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const vectorOf = (input: unknown) => Array.from(unitVector(input, 8))

describe('POST /v1/embeddings', () => {
  it('answers with the documented body and nothing else', async () => {
    const { url } = await serveDouble()
    const { status, headers, body } = await post(url, query)
    expect(status).toBe(200)
    expect(body).toEqual({
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: expect.any(Array) }],
      model: 'double',
      usage: { num_videos: 0, prompt_tokens: 1, total_tokens: 1 },
    })
    // The numbers are those of float32, which are shorter than those of the same doubles.
    const { data } = body as { data: { embedding: number[] }[] }
    expect(Float32Array.from(data[0]?.embedding ?? [])).toEqual(unitVector('a red circle', 8))
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-f-]{36}$/)
    expect(headers.get('server-timing')).toContain('total;dur=1.3')
  })

  it('keeps the order of 64 inputs, in base64', async () => {
    const { url } = await serveDouble()
    const input = Array.from({ length: 64 }, (_, at) => `text ${at}`)
    const { body } = await post(url, {
      ...query,
      input,
      request_type: 'bulk_text',
      encoding_format: 'base64',
    })
    const { data } = body as { data: { index: number; embedding: string }[] }
    expect(data.map(({ index }) => index)).toEqual(input.map((_, at) => at))
    const vectors = data.map(({ embedding }) => {
      const bytes = Buffer.from(embedding, 'base64')
      return Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at))
    })
    expect(vectors).toEqual(input.map(vectorOf))
  })

  it('answers with the model name of the request', async () => {
    const { url } = await serveDouble({}, { servedNames: ['double', 'nvidia/cosmos-embed1'] })
    const { body } = await post(url, { ...query, model: 'nvidia/cosmos-embed1' })
    expect(body).toMatchObject({ model: 'nvidia/cosmos-embed1' })
  })

  it('passes inline media to the embedder as bytes, and URLs unchanged', async () => {
    const { url, double } = await serveDouble()
    const frames = Array.from({ length: 8 }, (_, at) => Buffer.from(`frame ${at}`).toString('base64'))
    const inline = `data:video_frames/jpg;base64,{${frames.join(',')}}`
    await post(url, { ...query, request_type: 'bulk_video', input: [inline, inline] })
    const remote = 'data:video/mp4;presigned_url,https://host.example/a.mp4?sig=1,2'
    await post(url, { ...query, input: remote })
    const inputs = double.requests.map(({ input }: EmbedRequest) => input)
    const decoded = { frames: frames.map((frame) => Uint8Array.from(Buffer.from(frame, 'base64'))) }
    expect(inputs[0]).toHaveLength(2)
    for (const input of inputs[0] as { frames: Uint8Array[] }[]) {
      expect({ frames: input.frames.map((frame) => Uint8Array.from(frame)) }).toEqual(decoded)
    }
    expect(inputs[1]).toEqual([remote])
  })

  it.each([
    ['not JSON', '{"input"', 400, 'invalid_json'],
    ['empty', '', 400, 'invalid_json'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 400, 'invalid_json'],
    ['no object', '[]', 422, 'invalid_request'],
    ['__proto__', '{"__proto__":{"a":1}}', 422, 'invalid_request'],
    ['an unknown field', JSON.stringify({ ...query, user: 'x' }), 422, 'invalid_request'],
    ['no model', JSON.stringify({ ...query, model: undefined }), 422, 'invalid_request'],
    ['another model', JSON.stringify({ ...query, model: 'gpt' }), 422, 'invalid_request'],
    ['an empty text', JSON.stringify({ ...query, input: ' ' }), 422, 'invalid_request'],
    [
      'a million texts',
      JSON.stringify({ ...query, input: Array(1_000_000).fill('a') }),
      422,
      'invalid_request',
    ],
    ['nested 50 000 times', '['.repeat(50_000) + ']'.repeat(50_000), 422, 'invalid_request'],
    ['65 texts', JSON.stringify({ ...query, input: Array(65).fill('a') }), 422, 'invalid_request'],
    [
      'a local file',
      JSON.stringify({ ...query, input: 'data:video/mp4;presigned_url,file:///etc/passwd' }),
      422,
      'invalid_request',
    ],
  ])('refuses a body: %s', async (_, body, status, code) => {
    const { url, double } = await serveDouble()
    const answer = await post(url, '', { body: body as string })
    const type = code === 'invalid_json' ? 'invalid_json' : 'invalid_request_error'
    expect(answer.body).toMatchObject({
      error: { type, code, status_code: status, message: expect.any(String) },
    })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(double.requests).toEqual([])
  })

  it('uses the documented messages', async () => {
    const { url } = await serveDouble()
    const video = 'data:video/mp4;base64,AAAA'
    const messages = await Promise.all(
      [
        { ...query, input: [video, 'data:video/mp4;presigned_url,https://a.example/b'] },
        { ...query, input: Array(65).fill('a') },
        { ...query, input: 'data:video_frames/jpg;base64,{AAAA,AAAA}' },
        { ...query, request_type: 'bulk_video', input: [video] },
        { ...query, input: [video, video] },
        { ...query, request_type: 'bulk_text', input: ['a', video] },
      ].map(async (body) => ((await post(url, body)).body as { error: { message: string } }).error.message),
    )
    expect(messages).toEqual([
      'Cannot mix base64 and presigned URL inputs in same request',
      'cosmos-embed supports maximum 64 inputs per request',
      'video_frames input must contain exactly 8 frames',
      'bulk_video full-video inputs must use ;presigned_url, payloads',
      'query video input must contain exactly one video',
      'bulk_text input must contain text only',
    ])
  })

  it('names the item that failed', async () => {
    const before = () => {
      throw new MediaError('no frame could be decoded', { index: 2 })
    }
    const { url } = await serveDouble({}, { before })
    const { status, body } = await post(url, { ...query, request_type: 'bulk_text', input: ['a', 'b', 'c'] })
    expect(status).toBe(422)
    expect(body).toEqual(
      errorBody('input[2]: no frame could be decoded', 'invalid_request_error', 'media', 422, 'input[2]'),
    )
  })

  it('sends retry-after with an overload', async () => {
    const before = () => {
      throw new OverloadedError('512 items are in flight', { retryAfter: 2.2 })
    }
    const { url } = await serveDouble({}, { before })
    const { status, headers, body } = await post(url, query)
    expect(status).toBe(429)
    expect(body).toEqual(errorBody('512 items are in flight', 'overloaded', 'overloaded', 429))
    expect(headers.get('retry-after')).toBe('3')
    expect(headers.get('x-should-retry')).toBe('true')
  })

  it.each([
    ['an unknown error', new TypeError('secret /path 0x7f00')],
    ['an internal error', new InternalError('secret /path')],
  ])('reveals nothing of %s', async (_, error) => {
    const embedder = doubleEmbedder()
    // Not through `before`: an embedder of this package never throws an unknown error, but one of the host may.
    embedder.embed = (() => Promise.reject(error)) as typeof embedder.embed
    const { url } = await serveDouble({ embedder })
    const { status, body } = await post(url, query)
    expect(status).toBe(500)
    expect(JSON.stringify(body)).not.toContain('secret')
    expect(body).toMatchObject({ error: { code: 'internal', status_code: 500 } })
  })

  it('sends warnings in a header, whatever characters they contain', async () => {
    const double = doubleEmbedder()
    const { embed } = double
    const warning = { index: 0, message: 'cut at “déjà\nvu”' }
    double.embed = (async (...args: Parameters<typeof embed>) => {
      return { ...(await embed(...args)), warnings: [warning] }
    }) as typeof embed
    const { url } = await serveDouble({ embedder: double })
    const { headers } = await post(url, query)
    expect(JSON.parse(headers.get('x-cosmos-embed-warnings') ?? '')).toEqual([warning])
  })
})

describe('HTTP errors', () => {
  it('answers 404 for an unknown path', async () => {
    const { url } = await serveDouble()
    const { status, headers, body } = await request(`${url}/v1/nothing?key=secret`)
    expect(status).toBe(404)
    expect(body).toEqual(errorBody('there is no /v1/nothing here', 'not_found', 'not_found', 404))
    expect(headers.get('x-request-id')).toBeTruthy()
  })

  it.each([
    ['GET', '/v1/embeddings', 'POST'],
    ['DELETE', '/v1/embeddings', 'POST'],
    ['OPTIONS', '/v1/embeddings', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['PUT', '/openapi.json', 'GET, HEAD'],
    ['PROPFIND', '/v1/metrics', 'GET, HEAD'],
    ['DELETE', '/', 'GET, HEAD'],
  ])('answers 405 to %s %s', async (method, path, allow) => {
    const { url } = await serveDouble()
    const { status, headers, body } = await request(url + path, { method })
    expect(status).toBe(405)
    expect(headers.get('allow')).toBe(allow)
    expect(body).toMatchObject({ error: { code: 'method_not_allowed', status_code: 405 } })
  })

  it('checks the method before the body', async () => {
    const { url } = await serveDouble()
    const init = { method: 'PUT', body: '{', headers: { 'content-type': 'application/json' } }
    expect((await request(`${url}/v1/embeddings`, init)).status).toBe(405)
  })

  it('answers HEAD wherever it answers GET', async () => {
    const { url } = await serveDouble()
    const { status, body } = await request(`${url}/v1/models`, { method: 'HEAD' })
    expect([status, body]).toEqual([200, ''])
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'video/mp4'])(
    'answers 415 to %s',
    async (type) => {
      const { url } = await serveDouble()
      const { status, body } = await post(url, query, { headers: { 'content-type': type } })
      expect(status).toBe(415)
      expect(body).toMatchObject({ error: { code: 'unsupported_media_type', status_code: 415 } })
    },
  )

  it('answers 415 to a compressed body', async () => {
    const { url } = await serveDouble()
    const { status, body } = await post(url, query, { headers: { 'content-encoding': 'gzip' } })
    expect([status, body]).toMatchObject([
      415,
      { error: { message: 'send the body without content-encoding' } },
    ])
  })

  it('accepts a charset with application/json', async () => {
    const { url } = await serveDouble()
    const headers = { 'content-type': 'application/json; charset=utf-8' }
    expect((await post(url, query, { headers })).status).toBe(200)
  })

  it.each([
    [
      'a content-length that is no number',
      'POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\ncontent-length: ten\r\n\r\n',
      400,
    ],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['endless headers', `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    ['a broken path', 'GET /%zz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n', 400],
  ])('answers %s with the documented body', async (_, bytes, status) => {
    const { url } = await serveDouble()
    const answer = await rawExchange(url, bytes)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head).toMatch(/x-request-id: req_/i)
    expect(JSON.parse(body)).toMatchObject({
      error: { type: 'invalid_request_error', param: null, status_code: status },
    })
    if (bytes.includes('ten')) expect(body).toContain('Content-Length header must be an integer')
  })

  it('accepts a request id of the client only if it is safe to log', async () => {
    const { url } = await serveDouble()
    const idOf = async (id: string) => {
      return (await post(url, query, { headers: { 'x-request-id': id } })).headers.get('x-request-id')
    }
    expect(await idOf('trace-1.2_3')).toBe('trace-1.2_3')
    expect(await idOf('a b"c')).toMatch(/^req_/)
    expect(await idOf('x'.repeat(129))).toMatch(/^req_/)
  })

  it('sends no CORS headers', async () => {
    const { url } = await serveDouble()
    const { headers } = await post(url, query, { headers: { origin: 'https://elsewhere.example' } })
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})
