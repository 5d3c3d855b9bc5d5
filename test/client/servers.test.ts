/** The client with servers of all kinds, and what it never sends to any. */
import { CosmosEmbedError } from 'cosmos-embed'
import { createClient } from 'cosmos-embed/client'
import { describe, expect, it } from 'vitest'
import { serveDouble } from '../http/support.ts'
import { clientOf, foreignServer, openError, ourError, type Reply, vectorFor, vectors } from './support.ts'

describe('the model', () => {
  it('is the first that the server lists', async () => {
    const { url, double } = await serveDouble({}, { servedNames: ['first', 'second'] })
    await clientOf(url).embedText('a')
    await clientOf(url, { model: 'second' }).embedText('b')
    expect(double.requests.map(({ model }) => model)).toEqual(['first', 'second'])
  })

  it('is nvidia/cosmos-embed1 with the NIM, which has no list', async () => {
    const server = await foreignServer(vectors)
    const client = clientOf(server.url)
    await client.embedText('a')
    expect(server.seen[0]?.body.model).toBe('nvidia/cosmos-embed1')
    expect(await client.info()).toEqual({ model: { id: 'nvidia/cosmos-embed1', embeddingDim: 4 } })
  })
})

describe('an address', () => {
  it.each(['', '/', '/v1', '/v1/', '/v1/embeddings'])('may end in "%s"', async (end) => {
    const server = await foreignServer(vectors)
    await clientOf(`${server.url}${end}`).embedText('a')
    expect(server.seen).toHaveLength(1)
  })

  it('may have a path, and the client a key and headers for a gateway', async () => {
    const server = await foreignServer(
      (request) => (request.path.endsWith('/models') ? { body: { data: [{ id: 'm' }] } } : vectors(request)),
      true,
    )
    const options = { apiKey: 'secret', headers: { 'x-tenant': 'a' } }
    await clientOf(`${server.url}/embed/v1`, options).embedText('a')
    expect(server.seen.map(({ path }) => path)).toEqual(['/embed/v1/models', '/embed/v1/embeddings'])
    for (const { headers } of server.seen) {
      expect(headers).toMatchObject({ authorization: 'Bearer secret', 'x-tenant': 'a' })
    }
  })

  it.each([
    ['nowhere', 'options.url'],
    ['ftp://host', 'options.url'],
    ['http://user:word@host', 'options.url'],
    ['http://host/?a=b', 'options.url'],
  ])('%s is refused', (url, field) => {
    expect(() => createClient({ url })).toThrow(field)
  })

  it('without a server gives an error that says so', async () => {
    const failing = clientOf('http://127.0.0.1:9', { maxRetries: 0 }).embedText('a')
    await expect(failing).rejects.toMatchObject({ code: 'remote_failed', retryable: true })
    await expect(failing).rejects.toThrow('http://127.0.0.1:9')
  })
})

describe('a response', () => {
  const data = (...embeddings: unknown[]) => ({
    body: { data: embeddings.map((embedding, index) => ({ index, embedding })) },
  })
  it('may have numbers, no unit length, or another order', async () => {
    const server = await foreignServer(() => ({
      body: {
        data: [
          { index: 1, embedding: [0, 2] },
          { index: 0, embedding: [3, 4] },
        ],
      },
    }))
    const { data: found } = await clientOf(server.url).embed({ request_type: 'bulk_text', input: ['a', 'b'] })
    expect(found.map(({ embedding }) => Array.from(embedding))).toEqual([
      [expect.closeTo(0.6), expect.closeTo(0.8)],
      [0, 1],
    ])
  })

  it.each<[string, Reply]>([
    ['HTML', { body: '<html>Welcome</html>', headers: { 'content-type': 'text/html' } }],
    ['an empty list', data()],
    ['too many vectors', data([1], [1])],
    ['half a number', data(Buffer.from([1, 2, 3]).toString('base64'))],
    ['a string that is no base64', data('§§§§')],
    ['zeros', data([0, 0])],
    ['no numbers', data([Number.NaN, 'x'])],
    ['nothing', data(null)],
    ['one index twice', { body: { data: [{ index: 7, embedding: [1] }] } }],
  ])('that is %s is no answer', async (_, reply) => {
    const server = await foreignServer(() => reply)
    const failing = clientOf(server.url).embedText('a')
    await expect(failing).rejects.toMatchObject({ code: 'remote_rejected' })
    expect(server.seen).toHaveLength(1)
  })

  it.each<[string, Reply, string, string]>([
    [
      'ours',
      ourError(422, 'encrypted', { param: 'input[0]', message: 'input[0]: it is locked' }),
      'encrypted',
      'it is locked',
    ],
    [
      'ours, closing',
      ourError(503, 'closed', { headers: { 'x-should-retry': 'true' }, message: 'bye' }),
      'not_ready',
      'bye',
    ],
    ['the open server, bad media', openError(422, 'invalid_request_error', 'bad'), 'invalid_request', 'bad'],
    [
      'the open server, a download',
      openError(502, 'media_download_error', 'gone'),
      'download_failed',
      'gone',
    ],
    ['the open server, too large', openError(413, 'request_too_large', 'big'), 'request_too_large', 'big'],
    [
      'the NIM, inside of a 200',
      { ...openError(400, 'x', 'inside'), status: 200 },
      'invalid_request',
      'inside',
    ],
    [
      'FastAPI',
      { status: 422, body: { detail: [{ loc: ['body'], msg: 'field required', type: 'x' }] } },
      'invalid_request',
      'field required',
    ],
    ['a gateway', { status: 403, body: '<html>no</html>' }, 'remote_rejected', '403'],
    ['a gateway that times out', { status: 504, body: '' }, 'timeout', '504'],
  ])('of %s has its class', async (_, reply, code, message) => {
    const server = await foreignServer(() => reply)
    const failure: CosmosEmbedError = await clientOf(server.url, { maxRetries: 0 })
      .embedText('a')
      .then(
        () => Promise.reject(new Error('it succeeded')),
        (thrown) => thrown,
      )
    expect(failure).toBeInstanceOf(CosmosEmbedError)
    expect(failure).toMatchObject({ code, index: undefined })
    expect(failure.message).toContain(message)
  })

  it('passes its request id on to errors', async () => {
    const server = await foreignServer(() => ourError(422, 'media', { headers: { 'x-request-id': 'req_7' } }))
    await expect(clientOf(server.url).embedText('a')).rejects.toMatchObject({
      details: { requestId: 'req_7', status: 422 },
    })
  })
})

describe('an input that a server would misread', () => {
  const blanks = ['', ' ', '\n\t', '\u00a0', '\u0085', '\u001c', '\ufeff']
  it.each(blanks)('is refused: a text that begins as a data URI, after %j', async (blank) => {
    const server = await foreignServer(vectors)
    const text = `${blank}DATA:video/mp4;presigned_url,http://169.254.169.254/`
    await expect(clientOf(server.url).embedText(text)).rejects.toMatchObject({ code: 'invalid_request' })
    const [settled] = await clientOf(server.url).embedMany([{ text }])
    expect(settled?.status).toBe('rejected')
    expect(server.seen).toEqual([])
  })

  it.each<[string, object]>([
    ['start', { start: 1 }],
    ['end', { end: 2 }],
    ['frameRule', { frameRule: 'curator' }],
    ['frameTolerance', { frameTolerance: 0.1 }],
  ])('is refused: %s, of which the interface knows nothing', async (name, options) => {
    const server = await foreignServer(vectors)
    const client = clientOf(server.url)
    await expect(client.embedVideo(new URL('https://host/a.mp4'), options)).rejects.toThrow(name)
    const [settled] = await client.embedMany([{ video: new URL('https://host/a.mp4'), ...options }])
    expect(settled).toMatchObject({ status: 'rejected', reason: { code: 'invalid_request' } })
    expect(server.seen).toEqual([])
  })

  it.each<[string, unknown]>([
    ['a string for an item', 'a.mp4'],
    ['an item that is nothing', null],
    ['an unknown field', { video: Buffer.from('x'), strat: 1 }],
    ['a URL in a string', { video: 'https://host/a.mp4' }],
    ['a number', { video: 7 }],
    ['seven pictures', { frames: Array.from({ length: 7 }, () => Buffer.from('x')) }],
    [
      'URLs and bytes',
      { frames: Array.from({ length: 8 }, (_, i) => (i ? Buffer.from('x') : new URL('https://host/a.jpg'))) },
    ],
    [
      'pixels that are too few',
      { frames: Array.from({ length: 8 }, () => ({ width: 4, height: 4, data: new Uint8Array(3) })) },
    ],
    ['a foreign scheme', { video: new URL('s3://bucket/a.mp4') }],
  ])('is refused: %s', async (_, item) => {
    const server = await foreignServer(vectors)
    const [settled] = await clientOf(server.url).embedMany([item as never])
    expect(settled).toMatchObject({ status: 'rejected', reason: { code: 'invalid_request', index: 0 } })
    expect(server.seen).toEqual([])
  })
})

describe('media', () => {
  it('that are too large are refused before they are fully read', async () => {
    const server = await foreignServer(vectors)
    const client = clientOf(server.url, { maxInlineBytes: 1000 })
    let pieces = 0
    async function* endless() {
      for (;;) {
        pieces += 1
        yield new Uint8Array(300)
      }
    }
    for (const video of [
      new Uint8Array(1001),
      new Blob([new Uint8Array(1001)]),
      endless(),
      import.meta.filename,
    ]) {
      await expect(client.embedVideo(video)).rejects.toMatchObject({ code: 'limit' })
    }
    expect(pieces).toBe(4)
    expect(server.seen).toEqual([])
  })

  it.each<[string, unknown]>([
    ['empty bytes', new Uint8Array()],
    ['a folder', import.meta.dirname],
    ['a response that is an error', new Response('no', { status: 404 })],
    ['a stream of texts', new Blob(['x']).stream().pipeThrough(new TextDecoderStream())],
  ])('that are %s cannot be read', async (_, video) => {
    const server = await foreignServer(vectors)
    await expect(clientOf(server.url).embedVideo(video as Blob)).rejects.toMatchObject({ code: 'source' })
  })

  it('in streams are closed with the call, read or not', async () => {
    const server = await foreignServer(vectors)
    const closed: string[] = []
    const stream = (name: string) => ({
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: async () => {
          closed.push(name)
          return { done: true as const, value: undefined }
        },
      }),
    })
    const signal = AbortSignal.timeout(50)
    await expect(clientOf(server.url).embedVideo(stream('read'), { signal })).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    expect(closed).toEqual(['read'])
  })
})

it('decodes the same vectors without Buffer', async () => {
  const server = await foreignServer(vectors)
  const { Buffer: node } = globalThis
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255)
  try {
    Reflect.set(globalThis, 'Buffer', undefined)
    const client = createClient({ url: 'http://x', fetch: async (_, init) => answerTo(String(init?.body)) })
    const { embedding } = await client.embedVideo(bytes)
    expect(embedding.length).toBe(4)
  } finally {
    Reflect.set(globalThis, 'Buffer', node)
  }
  await clientOf(server.url).embedVideo(bytes)
  expect(sent.at(-1)).toBe(server.seen[0]?.body.input)
})

const sent: string[] = []
/** Node's own Response needs Buffer, which is hidden here. */
function answerTo(body: string): Response {
  const headers = new Headers()
  if (!body.startsWith('{')) return { status: 404, headers, text: async () => '' } as Response
  const { input } = JSON.parse(body) as { input: string }
  sent.push(input)
  const text = JSON.stringify({ data: [{ index: 0, embedding: vectorFor(input) }] })
  return { status: 200, headers, text: async () => text } as Response
}
