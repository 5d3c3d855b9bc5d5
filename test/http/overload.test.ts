/** The server over an embedder that is full, closed or lost, and with clients that disconnect. */
import type { SegmentOptions, Video } from 'cosmos-embed'
import { describe, expect, it } from 'vitest'
import { segmentAt } from './embedder-double.ts'
import {
  type Answer,
  errorBody,
  eventually,
  fetchSegments,
  gate,
  post,
  request,
  serveDouble,
} from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const bulk = (count: number) => ({ ...query, request_type: 'bulk_text', input: Array(count).fill('a') })
const windows = {
  input: 'data:video/mp4;presigned_url,https://a.example/b.mp4',
  window_seconds: 1,
  model: 'double',
}
const postVideo = (url: string, bytes = 10) =>
  request(`${url}/page/clip`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
  })

/** A server whose embedder works on `embed` until `finish` is called. */
async function serveBusy(limits: { maxItemsInFlight?: number; maxBytesInFlight?: number } = {}) {
  const { opened, open: finish } = gate()
  const served = await serveDouble({}, { limits, before: () => opened })
  const admitted = (count: number) => eventually(() => expect(served.double.requests).toHaveLength(count))
  return { ...served, finish, admitted }
}

function expectOverloaded({ status, headers, body }: Answer): void {
  expect({ status, body }).toMatchObject({
    status: 429,
    body: { error: { type: 'overloaded', code: 'overloaded', param: null, status_code: 429 } },
  })
  expect(headers.get('retry-after')).toBe('1')
  expect(headers.get('x-should-retry')).toBe('true')
}

describe('a full embedder', () => {
  it('is 429 with retry-after on every route that embeds, and 200 once there is room', async () => {
    const { url, double, finish, admitted } = await serveBusy({ maxItemsInFlight: 1 })
    const running = post(url, query)
    await admitted(1)
    const refused = await Promise.all([
      post(url, query),
      post(url, bulk(1)),
      post(url, windows, {}, '/v1/segments'),
      postVideo(url),
    ])
    for (const answer of refused) expectOverloaded(answer)
    expect(refused[0]?.body).toEqual(
      errorBody(expect.stringContaining('1 of 1 items'), 'overloaded', 'overloaded', 429),
    )
    expect((await request(`${url}/v1/health/ready`)).status).toBe(200)
    finish()
    expect((await running).status).toBe(200)
    expect((await post(url, query)).status).toBe(200)
    expect((await post(url, windows, {}, '/v1/segments')).status).toBe(200)
    expect((await postVideo(url)).status).toBe(200)
    expect(double.stats().inFlight).toEqual({ items: 0, bytes: 0, requests: 0 })
    const { body } = await request(`${url}/v1/metrics`)
    expect(body).toContain('cosmos_embed_rejected_total{reason="overloaded"} 3\n')
    expect(body).toContain('cosmos_embed_inflight_items 0\n')
  })

  it('still takes queries when it refuses bulk requests', async () => {
    const { url, finish, admitted } = await serveBusy({ maxItemsInFlight: 8 })
    const running = [post(url, bulk(4))]
    await admitted(1)
    expectOverloaded(await post(url, bulk(4)))
    running.push(post(url, { ...bulk(4), request_type: 'query' }))
    await admitted(2)
    finish()
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200])
  })

  it('is 413, and not 429, for a video that could never fit', async () => {
    const { url } = await serveBusy({ maxBytesInFlight: 10_000 })
    const answer = await postVideo(url, 10_001)
    expect(answer).toMatchObject({ status: 413, body: { error: { code: 'request_too_large' } } })
    expect(answer.headers.get('retry-after')).toBeNull()
    expect(answer.headers.get('x-should-retry')).toBe('false')
  })
})

describe('a client that leaves', () => {
  it('makes room for the next one at once', async () => {
    const { url, double, finish, admitted } = await serveBusy({ maxItemsInFlight: 1 })
    const client = new AbortController()
    const left = post(url, query, { signal: client.signal })
    await admitted(1)
    expectOverloaded(await post(url, query))
    client.abort()
    await expect(left).rejects.toThrow()
    await eventually(() => expect(double.stats().inFlight.requests).toBe(0))
    expect(double.stats().requests).toMatchObject({ cancelled: 1, rejected: 1 })
    const next = post(url, query)
    await admitted(2)
    finish()
    expect((await next).status).toBe(200)
  })

  it('ends its segments, and makes room for the next one', async () => {
    const segments = async function* (_video: Video, options: SegmentOptions) {
      yield segmentAt(0, options)
      await new Promise((_resolve, reject) => {
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason))
      })
    }
    const { url, double } = await serveDouble({}, { limits: { maxItemsInFlight: 1 }, segments })
    const client = new AbortController()
    const response = await fetchSegments(url, windows, client.signal)
    await response.body?.getReader().read()
    expectOverloaded(await post(url, query))
    client.abort()
    await eventually(() => expect(double.stats().inFlight).toEqual({ items: 0, bytes: 0, requests: 0 }))
    expect((await post(url, query)).status).toBe(200)
  })
})

describe('while requests run', () => {
  it.each([
    ['the embedder is disposed', 'closed', ({ double }: Busy) => void double.dispose()],
    ['the device is lost', 'device_lost', ({ double }: Busy) => double.lose('CUDA error 700 at /secret')],
  ])('%s: they and later ones are 503, and not to be retried', async (_, code, end) => {
    const busy = await serveBusy()
    const { url, admitted } = busy
    const running = post(url, query)
    await admitted(1)
    end(busy)
    for (const answer of [
      await running,
      await post(url, query),
      await post(url, windows, {}, '/v1/segments'),
    ]) {
      expect(answer).toMatchObject({ status: 503, body: { error: { code, type: 'service_unavailable' } } })
      expect(answer.headers.get('x-should-retry')).toBe('false')
      expect(answer.headers.get('retry-after')).toBeNull()
      expect(JSON.stringify(answer.body)).not.toContain('secret')
    }
    expect((await request(`${url}/v1/health/ready`)).status).toBe(503)
    expect((await request(`${url}/v1/health/live`)).status).toBe(200)
  })

  it('the server closes: they finish, and later ones are 503, to be retried elsewhere', async () => {
    const { url, server, finish, admitted } = await serveBusy()
    const running = post(url, query)
    await admitted(1)
    const closed = server.close({ drainMs: 60_000 })
    const later = await post(url, query)
    expect(later).toMatchObject({ status: 503, body: { error: { code: 'closed' } } })
    expect(later.headers.get('x-should-retry')).toBe('true')
    expect(later.headers.get('retry-after')).toBe('1')
    finish()
    expect((await running).status).toBe(200)
    await closed
  })

  it('the server closes without time to drain: they are 503, and the embedder has nothing left to do', async () => {
    const { url, server, double, admitted } = await serveBusy()
    const running = post(url, query)
    await admitted(1)
    await server.close({ drainMs: 10 })
    expect(await running).toMatchObject({ status: 503, body: { error: { code: 'closed' } } })
    expect(double.stats()).toMatchObject({
      requests: { cancelled: 1 },
      inFlight: { items: 0, bytes: 0, requests: 0 },
    })
    expect(double.status()).toEqual({ ready: true })
  })
})

type Busy = Awaited<ReturnType<typeof serveBusy>>
