/** The plugin under `app.inject`, which hands requests to the routes without a socket. */
import { Readable } from 'node:stream'
import { type EmbedRequest, MediaError, type SegmentOptions, type Video } from 'cosmos-embed'
import { cosmosEmbed, type HttpOptions } from 'cosmos-embed/http'
import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type DoubleOptions, doubleEmbedder, type EmbedderDouble, segmentAt } from './embedder-double.ts'
import { type Document, Oracle } from './openapi-support.ts'
import { type Answer, eventually, gate } from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const windows = {
  input: 'data:video/mp4;presigned_url,https://a.example/b.mp4',
  window_seconds: 1,
  model: 'double',
}
const video = (bytes: number) =>
  JSON.stringify({ ...query, input: `data:video/mp4;base64,${Buffer.alloc(bytes, 'v').toString('base64')}` })

interface Host {
  app: FastifyInstance
  double: EmbedderDouble
  inject(options: InjectOptions): Promise<Answer>
  /** POST with `content-type: application/json`, unless `headers` say otherwise. */
  post(payload: NonNullable<InjectOptions['payload']>, headers?: object, url?: string): Promise<Answer>
}

async function host(options: Partial<HttpOptions> = {}, double: DoubleOptions = {}): Promise<Host> {
  const app = Fastify()
  onTestFinished(() => app.close())
  const embedder = doubleEmbedder(double)
  await app.register(cosmosEmbed, { embedder, prefix: '/embed', ...options })
  const inject = async (request: InjectOptions) => {
    const response = await app.inject({ ...request, url: `/embed${request.url}` })
    const isJson = String(response.headers['content-type']).startsWith('application/json')
    return {
      status: response.statusCode,
      headers: new Headers(response.headers as Record<string, string>),
      body: isJson && response.body !== '' ? response.json() : response.body,
    }
  }
  if (options.embedder === undefined) {
    await eventually(async () => {
      expect((await inject({ url: '/v1/health/ready' })).status).toBe(200)
    })
  }
  return {
    app,
    double: embedder,
    inject,
    post: (payload, headers = {}, url = '/v1/embeddings') =>
      inject({ method: 'POST', url, payload, headers: { 'content-type': 'application/json', ...headers } }),
  }
}

const errorOf = ({ status, body }: Answer) => {
  const { code, status_code } = (body as { error: { code: string; status_code: number } }).error
  expect(status_code).toBe(status)
  return { status, code }
}

describe('every documented route', () => {
  it('responds as the OpenAPI document describes', async () => {
    const { inject, post } = await host()
    const oracle = new Oracle((await inject({ url: '/openapi.json' })).body as Document)
    for (const [path, { get, post: operation }] of Object.entries(oracle.document.paths)) {
      // The double has no bundle on disk, and so no manifest.
      if (get && path !== '/v1/manifest') {
        const answer = await inject({ url: path.replace('{model}', 'double') })
        expect(answer.status, path).toBe(200)
        oracle.judge('GET', path, answer)
        expect(await inject({ method: 'HEAD', url: path.replace('{model}', 'double') })).toMatchObject({
          status: 200,
          body: '',
        })
      }
      if (operation) {
        const answer = await post({}, {}, path)
        expect(errorOf(answer), path).toEqual({ status: 422, code: 'invalid_request' })
        oracle.judge('POST', path, answer)
      }
    }
    const embedded = await post(query)
    expect(embedded.status).toBe(200)
    oracle.judge('POST', '/v1/embeddings', embedded)
  })

  it('works, including the files of the pages and the clip', async () => {
    const { inject } = await host()
    for (const url of ['/', '/page/page.js', '/page/clips/captions.json', '/docs', '/docs/docs.js']) {
      expect((await inject({ url })).status, url).toBe(200)
    }
    const clip = await inject({
      method: 'POST',
      url: '/page/clip',
      headers: { 'content-type': 'application/octet-stream' },
      payload: Buffer.from('bytes of a video'),
    })
    expect(clip.status).toBe(200)
    expect(JSON.parse(clip.headers.get('x-clip') ?? '')).toMatchObject({ size: 32, frames: [] })
  })

  it('reports health while the model loads, once it is ready, and when it is lost', async () => {
    const { opened, open } = gate()
    const embedder = doubleEmbedder()
    const { inject, post } = await host({ embedder: opened.then(() => embedder) })
    const health = async () =>
      (await Promise.all(['/v1/health/live', '/v1/health/ready'].map((url) => inject({ url })))).map(
        ({ status }) => status,
      )
    expect(await health()).toEqual([200, 503])
    const early = await post(query)
    expect(errorOf(early)).toEqual({ status: 503, code: 'not_ready' })
    expect(early.headers.get('retry-after')).toBe('1')
    open()
    await eventually(async () => expect(await health()).toEqual([200, 200]))
    embedder.lose('CUDA error 700')
    expect(await health()).toEqual([200, 503])
    expect(errorOf(await post(query))).toEqual({ status: 503, code: 'device_lost' })
  })
})

describe('bodies', () => {
  it.each([
    ['an object', query],
    ['a text', JSON.stringify(query)],
    ['bytes', Buffer.from(JSON.stringify(query))],
    ['a stream', () => Readable.from(Array.from(JSON.stringify(query), (letter) => Buffer.from(letter)))],
  ])('%s, parsed on the main thread or in a worker', async (_, payload) => {
    for (const workerBodyBytes of [1, 2 ** 20]) {
      const { post, double } = await host({ limits: { workerBodyBytes } })
      const answer = await post(typeof payload === 'function' ? payload() : payload)
      expect(answer.status).toBe(200)
      expect(double.requests).toMatchObject([{ input: ['a red circle'], request_type: 'query' }])
    }
  })

  it('inline media of many blocks arrives whole', async () => {
    const { post, double } = await host()
    const stream = Readable.from(
      Buffer.from(video(3 * 2 ** 20))
        .toString()
        .match(/.{1,99991}/gs) ?? [],
    )
    expect((await post(stream)).status).toBe(200)
    expect(double.requests[0]?.input).toMatchObject([{ video: { byteLength: 3 * 2 ** 20 } }])
  })

  it('base64, and a charset, and no content-type at all', async () => {
    const { post, inject } = await host()
    const { body } = await post({ ...query, encoding_format: 'base64' })
    expect(body).toMatchObject({ data: [{ embedding: expect.stringMatching(/^[\w+/]+=*$/) }] })
    expect((await post(query, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(200)
    const untyped = { method: 'POST', url: '/v1/embeddings', payload: JSON.stringify(query) } as const
    expect((await inject(untyped)).status).toBe(200)
  })

  it('segments come as lines, also to a reader of the stream', async () => {
    const { app, post } = await host()
    const { status, headers, body } = await post(windows, {}, '/v1/segments')
    expect([status, headers.get('content-type')]).toEqual([200, 'application/x-ndjson'])
    const objects = (text: string) =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).object)
    expect(objects(body as string)).toEqual(['segment', 'segment', 'segments.end'])
    const streamed = await app.inject({
      method: 'POST',
      url: '/embed/v1/segments',
      payload: windows,
      payloadAsStream: true,
    })
    const chunks = await streamed.stream().toArray()
    expect(objects(Buffer.concat(chunks).toString())).toEqual(['segment', 'segment', 'segments.end'])
  })
})

describe('errors', () => {
  const json = { 'content-type': 'application/json' }
  const cases: [string, InjectOptions, number, string][] = [
    ['not JSON', { headers: json, payload: '{' }, 400, 'invalid_json'],
    ['an empty body', { headers: json }, 400, 'invalid_json'],
    ['another key', { headers: { ...json, authorization: 'Bearer b' }, payload: query }, 401, 'unauthorized'],
    ['a method that is not allowed', { method: 'PUT', payload: query }, 405, 'method_not_allowed'],
    ['a body over the limit', { headers: json, payload: video(3000) }, 413, 'request_too_large'],
    [
      'a stream over the limit',
      { headers: json, payload: Readable.from([video(3000)]) },
      413,
      'request_too_large',
    ],
    [
      'another content-type',
      { headers: { 'content-type': 'text/plain' }, payload: 'a' },
      415,
      'unsupported_media_type',
    ],
    [
      'a compressed body',
      { headers: { ...json, 'content-encoding': 'gzip' }, payload: query },
      415,
      'unsupported_media_type',
    ],
    ['an unknown field', { headers: json, payload: { ...query, colour: 1 } }, 422, 'invalid_request'],
  ]

  it.each(cases)('%s has the documented body', async (_, options, status, code) => {
    const { inject } = await host({ apiKeys: ['a'], limits: { maxBodyBytes: 2000 } })
    const answer = await inject({
      method: 'POST',
      url: '/v1/embeddings',
      ...options,
      headers: { authorization: 'Bearer a', ...options.headers },
    } as InjectOptions)
    expect(errorOf(answer)).toEqual({ status, code })
    expect(answer.headers.get('x-request-id')).toBeTruthy()
    expect(answer.headers.get('x-should-retry')).toBe('false')
  })

  it('a page of another site, where hosts are listed', async () => {
    const { post } = await host({ allowedHosts: ['media.example'] })
    const foreign = { host: 'media.example', origin: 'https://evil.example' }
    expect(errorOf(await post(query, foreign))).toEqual({ status: 403, code: 'forbidden' })
    expect((await post(query, { host: 'media.example', origin: 'https://media.example' })).status).toBe(200)
  })

  it('an unknown path gets the 404 of the host', async () => {
    const { inject } = await host()
    expect(await inject({ url: '/v1/nothing' })).toMatchObject({ status: 404, body: { error: 'Not Found' } })
  })

  it('media that cannot be decoded', async () => {
    const before = () => {
      throw new MediaError('no frame could be decoded', { index: 0 })
    }
    const { post } = await host({}, { before })
    const answer = await post(video(10))
    expect(errorOf(answer)).toEqual({ status: 422, code: 'media' })
    expect(answer.body).toMatchObject({ error: { param: 'input[0]' } })
  })

  it('a request that takes too long', async () => {
    const { post } = await host({ limits: { requestTimeoutMs: 20 } }, { before: () => new Promise(() => {}) })
    const answer = await post(query)
    expect(errorOf(answer)).toEqual({ status: 504, code: 'timeout' })
  })

  it('a body that stops arriving', async () => {
    const { post } = await host({ limits: { bodyIdleTimeoutMs: 20 } })
    const stalled = new Readable({ read() {} })
    stalled.push('{"input"')
    const answer = await post(stalled)
    expect(errorOf(answer)).toEqual({ status: 408, code: 'request_timeout' })
    expect(answer.headers.get('x-should-retry')).toBe('true')
  })
})

describe('an embedder that is shared with the host', () => {
  it('is 429 while the host keeps it busy, and works for the host after the app is closed', async () => {
    const { opened, open } = gate()
    const { app, double, post } = await host({}, { limits: { maxItemsInFlight: 1 }, before: () => opened })
    const own = double.embed(query as EmbedRequest)
    const refused = await post(query)
    expect(errorOf(refused)).toEqual({ status: 429, code: 'overloaded' })
    expect(refused.headers.get('retry-after')).toBe('1')
    open()
    await own
    const running = post(query)
    await eventually(() => expect(double.requests).toHaveLength(2))
    await app.close()
    expect((await running).status).toBe(200)
    expect((await double.embedText('a')).kind).toBe('text')
  })

  // light-my-request does not close the response of a reader that leaves: only the missing progress shows it.
  it('stops computing segments whose reader has left', async () => {
    const segments = async function* (_video: Video, options: SegmentOptions) {
      for (let index = 0; ; index += 1) {
        yield segmentAt(index, options)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const { app, double } = await host({ limits: { sendTimeoutMs: 50 } }, { segments })
    const response = await app.inject({
      method: 'POST',
      url: '/embed/v1/segments',
      payload: windows,
      payloadAsStream: true,
    })
    response.stream().destroy()
    await eventually(() => expect(double.stats().inFlight.requests).toBe(0))
    expect(double.stats().requests.cancelled).toBe(1)
  })
})
