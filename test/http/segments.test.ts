/** `POST /v1/segments`: lines of JSON, sent while they are computed. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import {
  createEmbedder,
  DownloadError,
  type Embedder,
  MediaError,
  OverloadedError,
  type Segment,
  type SegmentOptions,
  type Video,
} from 'cosmos-embed'
import { createServer } from 'cosmos-embed/http'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { segmentAt } from './embedder-double.ts'
import { Oracle } from './openapi-support.ts'
import { eventually, fetchSegments, gate, post, request, serveDouble } from './support.ts'

const clip = readFileSync(new URL('../../examples/clips/red-circle.mp4', import.meta.url))
const inline = `data:video/mp4;base64,${clip.toString('base64')}`
const remote = 'data:video/mp4;presigned_url,https://a.example/b.mp4?signature=1'
const windows = { input: remote, window_seconds: 2, model: 'double' }

const send = (url: string, body: unknown, init?: RequestInit) => post(url, body, init, '/v1/segments')
const linesOf = (body: unknown) => {
  const text = body as string
  expect(text.endsWith('\n')).toBe(true)
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

type Answer = AsyncGenerator<Segment, void, undefined>

/** Endless segments, until the caller cancels or leaves the loop. */
function endless(state: { made: number; ended: boolean }, dimension = 8) {
  return async function* (_video: Video, options: SegmentOptions): Answer {
    try {
      for (;;) {
        options.signal?.throwIfAborted()
        yield { ...segmentAt(state.made++, options), embedding: new Float32Array(dimension) }
        await new Promise((resolve) => setImmediate(resolve))
      }
    } finally {
      state.ended = true
    }
  }
}

describe('segments', () => {
  it('are lines with times and vectors, and a last line with the total', async () => {
    const { url } = await serveDouble()
    const { status, headers, body } = await send(url, { ...windows, stride_seconds: 1 })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/x-ndjson')
    expect(headers.get('x-request-id')).toBeTruthy()
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    const embedding = expect.any(Array)
    expect(linesOf(body)).toEqual([
      { object: 'segment', index: 0, start: 0, end: 2, embedding },
      { object: 'segment', index: 1, start: 1, end: 3, embedding },
      {
        object: 'segments.end',
        model: 'double',
        segments: 2,
        usage: { num_videos: 1, prompt_tokens: 0, total_tokens: 0 },
      },
    ])
    const { body: metrics } = await request(`${url}/v1/metrics`)
    expect(metrics).toContain('cosmos_embed_requests_total{request_type="segments",status="200"} 1\n')
    expect(metrics).toMatch(/^cosmos_embed_embeddings_total 2$/m)
  })

  it('are shots, or divided at cuts', async () => {
    const given: SegmentOptions[] = []
    const segments = async function* (_: Video, options: SegmentOptions): Answer {
      given.push(options)
      yield segmentAt(0, options)
    }
    const { url } = await serveDouble({}, { segments })
    const fields = { input: remote, model: 'double' }
    for (const way of [{ at: [1, 2.5] }, { shots: true }, { shots: { threshold: 20, min_seconds: 1 } }]) {
      const { status } = await send(url, { ...fields, ...way, start: 1 })
      expect(status).toBe(200)
    }
    expect(given).toMatchObject([
      { at: [1, 2.5], start: 1 },
      { shots: {}, start: 1 },
      { shots: { threshold: 20, minSeconds: 1 }, start: 1 },
    ])
  })

  it('are sent while later ones are computed', async () => {
    const second = gate()
    const segments = async function* (_: Video, options: SegmentOptions): Answer {
      yield segmentAt(0, options)
      await second.opened
      yield segmentAt(1, options)
    }
    const { url } = await serveDouble({}, { segments })
    const response = await fetchSegments(url, windows)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const first = Buffer.from((await reader.read()).value as Uint8Array).toString()
    expect(linesOf(first)).toMatchObject([{ index: 0 }])
    second.open()
    const rest: string[] = []
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      rest.push(Buffer.from(next.value).toString())
    }
    expect(linesOf(rest.join(''))).toMatchObject([{ index: 1 }, { object: 'segments.end' }])
  })

  it('are computed with the options of the request', async () => {
    const asked: [Video, SegmentOptions][] = []
    const segments = async function* (video: Video, options: SegmentOptions): Answer {
      asked.push([video, options])
      yield segmentAt(0, options)
    }
    const { url } = await serveDouble({}, { segments })
    const more = { start: 1, end: 9, frame_rule: 'rounded', encoding_format: 'BASE64' }
    const [line] = linesOf((await send(url, { ...windows, input: inline, stride_seconds: 3, ...more })).body)
    const { embedding } = segmentAt(0, { windowSeconds: 2 })
    expect(line?.embedding).toBe(Buffer.from(embedding.buffer).toString('base64'))
    await send(url, windows)
    const [bytes, options] = asked[0] as [Uint8Array, SegmentOptions]
    expect(Buffer.from(bytes).equals(clip)).toBe(true)
    expect(options).toMatchObject({
      windowSeconds: 2,
      strideSeconds: 3,
      start: 1,
      end: 9,
      frameRule: 'rounded',
    })
    expect(options.whenFull).toBe('refuse')
    expect(String(asked[1]?.[0])).toBe('https://a.example/b.mp4?signature=1')
  })

  it('are refused with the field that is invalid', async () => {
    const { url } = await serveDouble()
    const oracle = await Oracle.of(url)
    const bodies: [string, unknown, string | null, string][] = [
      ['null', null, null, 'must be an object'],
      [
        'no window',
        { input: remote, model: 'double' },
        'window_seconds',
        'exactly one of window_seconds, at and shots',
      ],
      ['two ways', { ...windows, shots: true }, 'shots', 'window_seconds and shots are given'],
      [
        'a stride of shots',
        { input: remote, shots: true, stride_seconds: 1, model: 'double' },
        'stride_seconds',
        'needs window_seconds',
      ],
      ['cuts in no order', { input: remote, at: [2, 1], model: 'double' }, 'at', 'ascending'],
      ['no shots', { input: remote, shots: false, model: 'double' }, 'shots', 'must be true'],
      ['a window of nothing', { ...windows, window_seconds: 0 }, 'window_seconds', 'above 0'],
      ['a stride that goes back', { ...windows, stride_seconds: -1 }, 'stride_seconds', 'above 0'],
      ['an end before its start', { ...windows, start: 2, end: 2 }, 'end', 'greater than start'],
      ['another model', { ...windows, model: 'gpt' }, 'model', 'is not loaded here'],
      ['a text', { ...windows, input: 'a red circle' }, 'input', 'one whole video'],
      [
        'pictures',
        { ...windows, input: `data:video_frames/jpg;base64,{${Array(8).fill('AAAA')}}` },
        'input',
        'one whole video',
      ],
      ['a list', { ...windows, input: [remote] }, 'input', 'must be a string'],
      [
        'a data URI of something else',
        { ...windows, input: 'data:image/png;base64,AAAA' },
        'input[0]',
        'none of the forms',
      ],
      ['frames of its own choice', { ...windows, frame_rule: { indices: [1] } }, 'frame_rule', '"card"'],
      ['a field that does not exist', { ...windows, request_type: 'query' }, 'request_type', 'unknown field'],
    ]
    for (const [what, body, param, message] of bodies) {
      const answer = await send(url, body)
      expect(answer.status, what).toBe(422)
      expect(answer.body, what).toMatchObject({
        error: { code: 'invalid_request', param, message: expect.stringContaining(message) },
      })
      oracle.judge('POST', '/v1/segments', answer)
    }
  })

  it('follow the rules for all bodies', async () => {
    const { url } = await serveDouble({ limits: { maxBodyBytes: 1000 } })
    expect((await send(url, { ...windows, input: inline })).status).toBe(413)
    expect((await send(url, '{')).body).toMatchObject({ error: { code: 'invalid_json' } })
    expect((await send(url, windows, { headers: { 'content-type': 'text/plain' } })).status).toBe(415)
    expect((await request(`${url}/v1/segments`)).headers.get('allow')).toBe('POST')
    const secured = await serveDouble({ apiKeys: ['k'] })
    expect((await send(secured.url, windows)).status).toBe(401)
  })

  it.each([
    ['the media', new MediaError('no frame'), 422, 'media', 'input[0]'],
    [
      'its download',
      new DownloadError('the host answered 403', { permanent: true }),
      502,
      'download_rejected',
      'input[0]',
    ],
    [
      'too much work',
      new OverloadedError('512 items are in flight', { retryAfter: 2 }),
      429,
      'overloaded',
      null,
    ],
  ])(
    'that fail before the first line have a status of their own (%s)',
    async (_, error, status, code, param) => {
      // biome-ignore lint/correctness/useYield: it fails first
      const segments = async function* (): Answer {
        throw error
      }
      const { url } = await serveDouble({}, { segments })
      const answer = await send(url, windows)
      expect(answer).toMatchObject({ status, body: { error: { code, param, status_code: status } } })
    },
  )

  it('that fail later have the error as their last line', async () => {
    const segments = async function* (_: Video, options: SegmentOptions): Answer {
      yield segmentAt(0, options)
      throw new MediaError('the file is damaged')
    }
    const { url } = await serveDouble({}, { segments })
    const { status, body } = await send(url, windows)
    expect(status).toBe(200)
    expect(linesOf(body)).toEqual([
      expect.objectContaining({ object: 'segment', index: 0 }),
      {
        error: expect.objectContaining({
          code: 'media',
          message: 'input[0]: the file is damaged',
          param: 'input[0]',
          status_code: 422,
        }),
      },
    ])
    const { body: metrics } = await request(`${url}/v1/metrics`)
    expect(metrics).toContain('cosmos_embed_request_errors_total{type="media"} 1\n')
  })

  it('end with an error at maxSegments', async () => {
    const state = { made: 0, ended: false }
    const { url } = await serveDouble({ limits: { maxSegments: 3 } }, { segments: endless(state) })
    const lines = linesOf((await send(url, windows)).body)
    expect(lines).toHaveLength(4)
    expect(lines[3]).toMatchObject({
      error: { code: 'limit', message: expect.stringContaining('maxSegments 3') },
    })
    expect(state).toEqual({ made: 4, ended: true })
  })

  it('of more videos than maxSegmentStreams are refused', async () => {
    const held = gate()
    const segments = async function* (_: Video, options: SegmentOptions): Answer {
      await held.opened
      yield segmentAt(0, options)
    }
    const { url } = await serveDouble({ limits: { maxSegmentStreams: 2 } }, { segments })
    const running = [send(url, windows), send(url, windows)]
    await eventually(async () => {
      const { body } = await request(`${url}/v1/metrics`)
      expect(body).toContain('cosmos_embed_inflight_requests{request_type="segments"} 2\n')
    })
    const refused = await send(url, windows)
    expect(refused).toMatchObject({ status: 429, body: { error: { code: 'overloaded' } } })
    held.open()
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200])
    expect((await send(url, windows)).status).toBe(200)
  })

  it('end when their client disconnects', async () => {
    const state = { made: 0, ended: false }
    const { url } = await serveDouble({}, { segments: endless(state) })
    const client = new AbortController()
    const response = await fetchSegments(url, windows, client.signal)
    await response.body?.getReader().read()
    client.abort()
    await eventually(() => expect(state.ended).toBe(true))
    await eventually(async () => {
      const { body } = await request(`${url}/v1/metrics`)
      expect(body).toMatch(/^cosmos_embed_cancelled_total 1$/m)
      expect(body).toContain('cosmos_embed_inflight_requests{request_type="segments"} 0\n')
    })
  })

  it('that nobody reads are not computed, and end at the send timeout', async () => {
    const state = { made: 0, ended: false }
    const limits = { sendTimeoutMs: 300 }
    const { url } = await serveDouble({ limits }, { segments: endless(state, 100_000) })
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname).on('error', () => {})
    await once(socket, 'connect')
    socket.pause()
    const body = JSON.stringify(windows)
    const head = `POST /v1/segments HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    socket.write(head + body)
    await eventually(() => expect(state.ended).toBe(true), 30_000)
    expect(state.made).toBeLessThan(1000)
    socket.destroy()
  })

  it('that take too long for one line end with an error', async () => {
    const segments = async function* (_: Video, options: SegmentOptions): Answer {
      yield segmentAt(0, options)
      await new Promise((_resolve, reject) => {
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason))
      })
    }
    const { url } = await serveDouble({ limits: { requestTimeoutMs: 50 } }, { segments })
    const lines = linesOf((await send(url, windows)).body)
    expect(lines).toMatchObject([{ index: 0 }, { error: { code: 'timeout', status_code: 504 } }])
  })

  it('end with an error when the server closes', async () => {
    const state = { made: 0, ended: false }
    const { url, server } = await serveDouble({}, { segments: endless(state) })
    const running = send(url, windows)
    await eventually(() => expect(state.made).toBeGreaterThan(0))
    await server.close({ drainMs: 0 })
    expect(linesOf((await running).body).at(-1)).toMatchObject({ error: { code: 'closed' } })
    expect(state.ended).toBe(true)
  })
})

async function all(segments: AsyncIterable<Segment>): Promise<Segment[]> {
  const found: Segment[] = []
  for await (const segment of segments) found.push(segment)
  return found
}

describe('segments of a real video', () => {
  let embedder: Embedder

  beforeAll(async () => {
    embedder = await createEmbedder({
      model: new URL('../../models/demo', import.meta.url).pathname,
      device: 'cpu',
    })
  })
  afterAll(() => embedder?.dispose())

  it('are those of the library, whether a thread parses the body or not, and match the OpenAPI document', async () => {
    const expected = await all(embedder.segments(clip, { windowSeconds: 1 }))
    const model = embedder.info().model.id
    const body = { input: inline, window_seconds: 1, model }
    let oracle: Oracle | undefined
    for (const workerBodyBytes of [1, 2 ** 20]) {
      const server = await createServer({ embedder, limits: { workerBodyBytes } })
      onTestFinished(() => server.close())
      const url = await server.listen({ port: 0 })
      await server.ready
      const answer = await send(url, body)
      const lines = linesOf(answer.body)
      expect(lines).toHaveLength(expected.length + 1)
      oracle ??= await Oracle.of(url)
      for (const line of lines) oracle.judge('POST', '/v1/segments', { ...answer, body: line })
      for (const [at, { start, end, embedding }] of expected.entries()) {
        expect(lines[at]).toMatchObject({ index: at, start, end })
        const sent = lines[at]?.embedding as number[]
        const dot = embedding.reduce((sum, value, i) => sum + value * (sent[i] ?? 0), 0)
        expect(dot).toBeCloseTo(1, 4)
      }
      const broken = await send(url, {
        ...body,
        input: `data:video/mp4;base64,${Buffer.from('no video').toString('base64')}`,
      })
      expect(broken).toMatchObject({ status: 422, body: { error: { code: 'media', param: 'input[0]' } } })
    }
    expect(embedder.stats().inFlight).toEqual({ items: 0, bytes: 0, requests: 0 })
  })
})
