import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import type { CosmosEmbedError } from 'cosmos-embed'
import { describe, expect, it } from 'vitest'
import { eventually, gate, post, rawExchange, request, serveDouble } from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const KiB = 1024

function videoBody(bytes: number): string {
  return JSON.stringify({
    ...query,
    input: `data:video/mp4;base64,${Buffer.alloc(bytes, 'v').toString('base64')}`,
  })
}

/** For JSON.stringify, which serializes a Buffer and a Uint8Array differently, and at length. */
function digests(this: Record<string, unknown>, name: string, value: unknown): unknown {
  const held = this[name]
  return held instanceof Uint8Array ? createHash('sha256').update(held).digest('hex') : value
}

/** The head of a request, without its body. */
function head(headers: Record<string, string | number>): string {
  const lines = Object.entries({ host: 'localhost', 'content-type': 'application/json', ...headers })
  return `POST /v1/embeddings HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

async function gauge(url: string, name: string): Promise<number | undefined> {
  const { body } = await request(`${url}/v1/metrics`)
  const value = new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (.+)$`, 'm').exec(body as string)?.[1]
  return value === undefined ? undefined : Number(value)
}

describe('long bodies', () => {
  it('are parsed the same in a thread and on the main thread', async () => {
    const here = await serveDouble({ limits: { workerBodyBytes: 64 * KiB * KiB } })
    const there = await serveDouble({ limits: { workerBodyBytes: 1 } })
    const bodies = [
      videoBody(3 * KiB * KiB),
      JSON.stringify({ ...query, input: ['déjà vu', 'b'], encoding_format: 'base64' }),
      JSON.stringify({ ...query, input: 'data:video/mp4;presigned_url,https://a.example/b?c=1' }),
      JSON.stringify({ ...query, input: 'data:video/mp4;base64,not base64' }),
      JSON.stringify({ ...query, request_type: 'bulk_text', input: ['a', ''] }),
      JSON.stringify({ ...query, extra: 1 }),
      '{"a":',
      '',
    ]
    for (const body of bodies) {
      const [one, other] = await Promise.all([post(here.url, body), post(there.url, body)])
      expect({ status: other.status, body: other.body }).toEqual({ status: one.status, body: one.body })
    }
    expect(JSON.stringify(there.double.requests, digests)).toBe(JSON.stringify(here.double.requests, digests))
    expect(here.double.requests).toHaveLength(3)
  })

  it('arrive whole in chunks of any size', async () => {
    const { url, double } = await serveDouble()
    const bytes = Buffer.from(videoBody(700 * KiB))
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += 99_991) yield bytes.subarray(at, at + 99_991)
    }
    const { status } = await post(url, '', { body: pieces(), duplex: 'half' } as unknown as RequestInit)
    expect(status).toBe(200)
    expect(double.requests[0]?.input).toMatchObject([{ video: { byteLength: 700 * KiB } }])
  })
})

describe('a body over its limit', () => {
  it('is refused by its content-length before it is sent', async () => {
    const { url } = await serveDouble({ limits: { maxBodyBytes: 1000 } })
    const answer = await rawExchange(url, head({ 'content-length': 1001 }), '}}')
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
    expect(answer).toContain('"message":"request body exceeds maximum 1000 bytes"')
    expect(answer).toContain('"type":"request_too_large"')
  })

  it('is refused as it arrives, when it has no content-length', async () => {
    const { url } = await serveDouble({ limits: { maxBodyBytes: 1000 } })
    const chunk = `400\r\n${'x'.repeat(1024)}\r\n`
    const answer = await rawExchange(url, head({ 'transfer-encoding': 'chunked' }) + chunk, '}}')
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
  })

  it('is refused in countless chunks, and the connection closed', async () => {
    const { url } = await serveDouble()
    const chunks = '1\r\n \r\n'.repeat(30_000)
    const answer = await rawExchange(url, head({ 'transfer-encoding': 'chunked' }) + chunks, '}}')
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
    expect(answer).toMatch(/\r\nconnection: close\r\n/i)
    expect(answer).toContain('chunks of fewer than 64 bytes')
  })

  it('gets a response although the client goes on sending, and the connection stays usable', async () => {
    const { url } = await serveDouble({ limits: { maxBodyBytes: 100 * KiB } })
    const { status, headers } = await post(url, videoBody(400 * KiB))
    expect(status).toBe(413)
    expect(headers.get('x-should-retry')).toBe('false')
    expect((await post(url, query)).status).toBe(200)
  })

  it('has a limit of its own for inline media', async () => {
    const { url } = await serveDouble()
    const { status, body } = await post(url, videoBody(33 * KiB * KiB))
    expect(status).toBe(422)
    expect(body).toMatchObject({
      error: {
        code: 'limit',
        param: 'input[0]',
        message: expect.stringContaining(`maxInlineBytes ${32 * KiB * KiB}`),
      },
    })
  })
})

describe('bodies in flight', () => {
  it('are counted as they arrive, refused over the limit, and released when their client disconnects', async () => {
    const { url } = await serveDouble({ limits: { maxBodyBytesInFlight: 64 * KiB } })
    const { hostname, port } = new URL(url)
    const slow = connect(Number(port), hostname)
    slow.write(head({ 'content-length': 60 * KiB }) + 'x'.repeat(40 * KiB))
    await eventually(async () => {
      expect(await gauge(url, 'cosmos_embed_inflight_body_bytes')).toBe(40 * KiB)
    })
    const refused = await post(url, videoBody(30 * KiB))
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await post(url, query)).status).toBe(200)
    slow.destroy()
    await eventually(async () => {
      expect(await gauge(url, 'cosmos_embed_inflight_body_bytes')).toBe(0)
    })
    expect((await post(url, videoBody(30 * KiB))).status).toBe(200)
  })
})

describe('sockets', () => {
  const open = async (url: string, text = '') => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname).on('error', () => {})
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.write(text)
    return socket
  }

  it('that are idle make room for new ones, the longest idle first', async () => {
    const { url } = await serveDouble({ maxConnections: 8 })
    const ended: number[] = []
    const halfAHead = 'GET /v1/health/live HTTP/1.1\r\nhost: loc'
    for (let at = 0; at < 30; at++) {
      const socket = await open(url, at % 2 ? halfAHead : '')
      socket.on('close', () => ended.push(at)).resume()
    }
    expect((await request(`${url}/v1/health/live`)).status).toBe(200)
    expect((await post(url, query)).status).toBe(200)
    await eventually(() => expect(ended.length).toBeGreaterThanOrEqual(23))
    expect(ended.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('beyond the limit answer health only, when all others are busy', async () => {
    const { url } = await serveDouble({ maxConnections: 6 })
    for (let at = 0; at < 6; at++) {
      const socket = await open(url, head({ 'content-length': 100, expect: '100-continue' }))
      await new Promise((resolve) => socket.once('data', resolve))
    }
    const health = await request(`${url}/v1/health/ready`)
    expect(health.status).toBe(200)
    for (let at = 0; at < 40; at++) {
      const refused = await rawExchange(url, 'GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n')
      expect(refused).toMatch(/^HTTP\/1.1 429 /)
      expect(refused).toContain('all of 6 connections are busy')
    }
    expect((await request(`${url}/v1/health/live`)).status).toBe(200)
  })
})

describe('slow clients', () => {
  it('that stop in the middle of a body get 408', async () => {
    const { url } = await serveDouble({ limits: { bodyIdleTimeoutMs: 50 } })
    const answer = await rawExchange(url, `${head({ 'content-length': 100 })}{"input"`, '}}')
    expect(answer).toMatch(/^HTTP\/1.1 408 /)
    expect(answer).toContain('no byte of the body arrived for 50 ms')
  })

  it('that trickle headers or a body are disconnected', async () => {
    const { url } = await serveDouble({ headersTimeoutMs: 200, receiveTimeoutMs: 400 })
    const byHeaders = await rawExchange(url, 'POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\n')
    expect(byHeaders).toMatch(/^HTTP\/1.1 408 /)
    expect(byHeaders).toContain('"code":"request_timeout"')
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write(head({ 'content-length': 1000 }))
    const trickle = setInterval(() => socket.write('x'), 20)
    await new Promise((resolve) =>
      socket
        .on('close', resolve)
        .on('error', () => {})
        .resume(),
    )
    clearInterval(trickle)
    expect((await post(url, query)).status).toBe(200)
  })

  it('that do not read the response are disconnected', async () => {
    const { url, server } = await serveDouble({ limits: { sendTimeoutMs: 200 } }, { dimension: 12_000 })
    const accepted = new Promise<Socket>((resolve) => server.app.server.once('connection', resolve))
    const { hostname, port } = new URL(url)
    const client = connect(Number(port), hostname).pause()
    client.on('error', () => {})
    const body = JSON.stringify({ ...query, request_type: 'bulk_text', input: Array(64).fill('a') })
    client.write(head({ 'content-length': body.length }) + body)
    const socket = await accepted
    await eventually(() => expect(socket.destroyed).toBe(true), 30_000)
    expect(socket.bytesWritten).toBeGreaterThan(0)
    client.destroy()
  })
})

describe('an idle connection', () => {
  it('is closed after its timeout, also when it has been used', async () => {
    const { url, server } = await serveDouble()
    server.app.server.keepAliveTimeout = 50
    const body = JSON.stringify(query)
    const answer = await rawExchange(url, head({ 'content-length': body.length }) + body)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
  })
})

describe('a request that takes too long', () => {
  it('is cancelled and answered with 504', async () => {
    const reasons: unknown[] = []
    const before = (_: unknown, signal: AbortSignal | undefined) =>
      new Promise<void>((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          reasons.push(signal.reason)
          reject(signal.reason)
        })
      })
    const { url } = await serveDouble({ limits: { requestTimeoutMs: 50 } }, { before })
    const { status, body } = await post(url, query)
    expect(status).toBe(504)
    expect(body).toMatchObject({
      error: { code: 'timeout', message: expect.stringContaining('requestTimeoutMs 50') },
    })
    expect((reasons[0] as CosmosEmbedError).code).toBe('timeout')
  })
})

describe('a client that disconnects', () => {
  it('cancels its call', async () => {
    const started = gate()
    let reason: unknown
    const before = (_: unknown, signal: AbortSignal | undefined) =>
      new Promise<void>((_resolve, reject) => {
        started.open()
        signal?.addEventListener('abort', () => {
          reason = signal.reason
          reject(signal.reason)
        })
      })
    const { url } = await serveDouble({}, { before })
    const client = new AbortController()
    const answer = post(url, query, { signal: client.signal })
    await started.opened
    client.abort()
    await expect(answer).rejects.toThrow()
    await eventually(() => expect((reason as CosmosEmbedError | undefined)?.code).toBe('cancelled'))
    await eventually(async () => expect(await gauge(url, 'cosmos_embed_cancelled_total')).toBe(1))
    expect(await gauge(url, 'cosmos_embed_inflight_requests{request_type="query"}')).toBe(0)
  })

  it('in the middle of its body releases the bytes received', async () => {
    const { url, double } = await serveDouble()
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write(`${head({ 'content-length': 100 })}{"input"`)
    await eventually(async () => expect(await gauge(url, 'cosmos_embed_inflight_body_bytes')).toBe(8))
    socket.destroy()
    await eventually(async () => expect(await gauge(url, 'cosmos_embed_cancelled_total')).toBe(1))
    expect(await gauge(url, 'cosmos_embed_inflight_body_bytes')).toBe(0)
    expect(double.requests).toEqual([])
  })
})

describe('closing', () => {
  it('finishes running requests, and refuses new ones', async () => {
    const { opened, open } = gate()
    const { url, server, double } = await serveDouble({}, { before: () => opened })
    const running = post(url, query)
    await eventually(() => expect(double.requests).toHaveLength(1))
    const closed = server.close({ drainMs: 10_000 })
    const ready = await request(`${url}/v1/health/ready`)
    expect(ready.status).toBe(503)
    expect(ready.body).toMatchObject({ message: expect.stringContaining('shutting down') })
    const refused = await post(url, query)
    expect(refused.status).toBe(503)
    expect(refused.body).toMatchObject({ error: { code: 'closed', type: 'service_unavailable' } })
    open()
    expect((await running).status).toBe(200)
    await closed
    await expect(post(url, query)).rejects.toThrow()
  })

  it('cancels requests that do not finish in time', async () => {
    const before = (_: unknown, signal: AbortSignal | undefined) =>
      new Promise<void>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason))
      })
    const { url, server, double } = await serveDouble({}, { before })
    const running = post(url, query)
    await eventually(() => expect(double.requests).toHaveLength(1))
    await server.close({ drainMs: 20 })
    const { status, body } = await running
    expect(status).toBe(503)
    expect(body).toMatchObject({ error: { code: 'closed' } })
  })

  it('does not wait for an incomplete request', async () => {
    const { url, server } = await serveDouble()
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname, () => socket.write('GET / HTTP/1.1\r\n'))
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await new Promise((resolve) => socket.on('connect', resolve))
    await server.close({ drainMs: 60_000 })
    await closed
  })

  it('ends at once when nothing runs, in spite of idle connections', async () => {
    const { url, server } = await serveDouble()
    await post(url, query)
    await server.close({ drainMs: 60_000 })
    await server.close()
  })
})
