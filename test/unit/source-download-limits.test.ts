import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Resolve } from '../../src/source/address.ts'
import { createSources } from '../../src/source/sources.ts'
import {
  closeServers,
  endless,
  fetchBytes,
  listen,
  refusal,
  secret,
  serve,
  toLoopback,
  trusting,
} from './downloads.ts'

afterEach(closeServers)

describe('a silent or slow host', () => {
  const limits = { connectTimeoutMs: 60, headersTimeoutMs: 60, idleTimeoutMs: 60, downloadTimeoutMs: 10_000 }

  test.each([
    ['names that never resolve', 'connectTimeoutMs', undefined],
    ['headers that never come', 'headersTimeoutMs', () => {}],
    ['a body that stops', 'idleTimeoutMs', (_: unknown, response: ServerResponse) => response.write('x')],
  ] as const)('%s: %s', async (_, field, handler) => {
    const { origin } = await serve(handler ?? (() => {}))
    const resolve: Resolve = handler ? toLoopback : () => new Promise(() => {})
    const error = await refusal(fetchBytes(`${origin}/a?${secret}`, trusting(origin, { limits, resolve })))
    expect(error).toMatchObject({ code: 'download_failed', retryable: true })
    expect(error.message).toContain(`${field} 60`)
  })

  test('a handshake that never ends', async () => {
    const port = await listen(createTcpServer(() => {}))
    const origin = `https://media.test:${port}`
    const error = await refusal(fetchBytes(`${origin}/a`, trusting(origin, { limits })))
    expect(error.message).toContain('connectTimeoutMs 60')
  })

  test('a body that trickles for ever exceeds the total time', async () => {
    const { origin } = await serve((_, response) => void endless(response))
    const patient = { connectTimeoutMs: 5_000, headersTimeoutMs: 5_000, idleTimeoutMs: 5_000 }
    const error = await refusal(
      fetchBytes(`${origin}/a`, trusting(origin, { limits: { ...patient, downloadTimeoutMs: 150 } })),
    )
    expect(error).toMatchObject({
      code: 'download_failed',
      message: expect.stringContaining('downloadTimeoutMs 150'),
    })
  })
})

describe('a body that comes too slowly', () => {
  const drip = (bytes: number, everyMs: number) =>
    serve((_, response) => {
      const timer = setInterval(() => response.write('x'.repeat(bytes)), everyMs)
      response.on('close', () => clearInterval(timer))
    })
  const limits = { idleTimeoutMs: 300, minDownloadRate: 10_000 }

  test('fails, however steadily it trickles', async () => {
    const { origin } = await drip(20, 20)
    const error = await refusal(fetchBytes(`${origin}/a?${secret}`, trusting(origin, { limits })))
    expect(error).toMatchObject({ code: 'download_failed', retryable: true })
    expect(error.message).toContain('less than minDownloadRate 10000 bytes per second')
  })

  test('is accepted with minDownloadRate 0, and so are a slow start and a short body', async () => {
    const limits = { idleTimeoutMs: 1_000, minDownloadRate: 10_000 }
    const { origin } = await serve((_, response) => {
      response.write('x')
      setTimeout(() => response.end('y'.repeat(20_000)), 150)
    })
    expect((await fetchBytes(`${origin}/a`, trusting(origin, { limits }))).length).toBe(20_001)
    const { origin: slow } = await serve((_, response) => {
      let left = 30
      const timer = setInterval(() => {
        response.write('x')
        if (--left > 0) return
        clearInterval(timer)
        response.end()
      }, 50)
    })
    const any = { ...limits, minDownloadRate: 0 }
    expect((await fetchBytes(`${slow}/a`, trusting(slow, { limits: any }))).length).toBe(30)
  })

  test('does not count the time in which it waits for memory', async () => {
    const { origin } = await serve((_, response) => void response.end('x'.repeat(300_000)))
    const sources = createSources(trusting(origin, { limits: { ...limits, idleTimeoutMs: 50 } }))
    const reserve = () => new Promise<void>((resolve) => setTimeout(resolve, 200))
    const { bytes } = await sources.video({ type: 'url', url: `${origin}/a` }, { reserve })
    expect(bytes).toBe(300_000)
  })
})

test('an announced length alone allocates no memory', async () => {
  const { origin } = await serve((_, response) => {
    response.writeHead(200, { 'content-length': 90_000_000 })
    response.write('x'.repeat(1000))
  })
  const asked: number[] = []
  const sources = createSources(trusting(origin, { limits: { idleTimeoutMs: 100 } }))
  const reserve = async (bytes: number) => void asked.push(bytes)
  await refusal(sources.video({ type: 'url', url: `${origin}/a` }, { reserve }))
  expect(asked).toEqual([256 * 1024])
})

test('queries download before bulk, but never starve it', async () => {
  const order: string[] = []
  const { origin } = await serve((request, response) => {
    order.push(request.url?.slice(1, 2) ?? '')
    setTimeout(() => response.end('ok'), 2)
  })
  const sources = createSources(trusting(origin, { limits: { maxDownloads: 1 } }))
  const get = (priority: 'query' | 'bulk') =>
    sources.video({ type: 'url', url: `${origin}/${priority}` }, { priority })
  await Promise.all([
    get('query'),
    get('bulk'),
    get('bulk'),
    ...Array.from({ length: 20 }, () => get('query')),
  ])
  expect(order.indexOf('b')).toBe(9)
})

describe('an abort', () => {
  test.each(['headers', 'body'])('while waiting for the %s closes the connection', async (stage) => {
    const controller = new AbortController()
    const reason = { because: stage }
    let closed: Promise<unknown> = Promise.resolve()
    const { origin } = await serve((request, response) => {
      closed = once(request.socket, 'close')
      if (stage === 'body') response.write('x')
      setTimeout(() => controller.abort(reason), 20)
    })
    await expect(fetchBytes(`${origin}/a`, trusting(origin), controller.signal)).rejects.toBe(reason)
    await closed
  })

  test('while resolving, while shaking hands, and before', async () => {
    const stuck: Resolve = () => new Promise(() => {})
    const resolving = new AbortController()
    setTimeout(() => resolving.abort('one'), 10)
    await expect(fetchBytes('https://media.test/', { resolve: stuck }, resolving.signal)).rejects.toBe('one')

    const shaking = new AbortController()
    const port = await listen(createTcpServer(() => shaking.abort('two')))
    const origin = `https://media.test:${port}`
    await expect(fetchBytes(`${origin}/`, trusting(origin), shaking.signal)).rejects.toBe('two')

    const resolve = vi.fn(toLoopback)
    const before = fetchBytes('https://media.test/', { resolve }, AbortSignal.abort('three'))
    await expect(before).rejects.toBe('three')
    expect(resolve).not.toHaveBeenCalled()
  })

  test('while waiting for a slot leaves the slot to others', async () => {
    let answer = () => {}
    const { origin } = await serve((_, response) => {
      answer = () => response.end('ok')
    })
    const sources = createSources(trusting(origin, { limits: { maxDownloadsPerHost: 1 } }))
    const get = (signal?: AbortSignal) => sources.video({ type: 'url', url: `${origin}/a` }, { signal })
    const controller = new AbortController()
    const first = get()
    const second = get(controller.signal)
    const third = get()
    controller.abort('enough')
    await expect(second).rejects.toBe('enough')
    const answering = setInterval(() => answer(), 5)
    expect((await first).bytes).toBe(2)
    expect((await third).bytes).toBe(2)
    clearInterval(answering)
  })
})

test('concurrent downloads are limited per host and in total', async () => {
  const running = new Map<string, number>()
  const most = { perHost: 0, total: 0 }
  const { port } = await serve((request, response) => {
    const host = (request.headers.host ?? '').replace('.:', ':')
    running.set(host, (running.get(host) ?? 0) + 1)
    const counts = [...running.values()]
    most.perHost = Math.max(most.perHost, ...counts)
    most.total = Math.max(
      most.total,
      counts.reduce((sum, count) => sum + count, 0),
    )
    setTimeout(() => {
      running.set(host, (running.get(host) ?? 0) - 1)
      response.end('ok')
    }, 15)
  })
  const origins = ['a', 'b', 'c', 'd'].map((name) => `http://${name}.test:${port}`)
  const dotted = origins.map((origin) => origin.replace('.test', '.test.'))
  const sources = createSources({
    resolve: toLoopback,
    urls: { private: [...origins, ...dotted] },
    limits: { maxDownloads: 5, maxDownloadsPerHost: 2 },
  })
  const all = Array.from({ length: 32 }, (_, index) =>
    sources.video({ type: 'url', url: `${(index % 3 ? origins : dotted)[index % 4]}/${index}` }),
  )
  expect((await Promise.all(all)).every(({ bytes }) => bytes === 2)).toBe(true)
  expect(most).toEqual({ perHost: 2, total: 5 })
})
