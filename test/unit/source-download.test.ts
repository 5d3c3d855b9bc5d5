import type { RequestListener } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { gzipSync } from 'node:zlib'
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

afterEach(async () => {
  vi.unstubAllEnvs()
  await closeServers()
})

describe('a download', () => {
  test('returns the bytes, requests no encoding, and uses no proxy', async () => {
    for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'ALL_PROXY'])
      vi.stubEnv(name, 'http://127.0.0.1:1')
    const body = Buffer.alloc(700_000, 'frame')
    let seen: { url?: string | undefined; headers: object } = { headers: {} }
    const { origin, port } = await serve((request, response) => {
      seen = { url: request.url, headers: request.headers }
      response.setHeader('set-cookie', 'a=b')
      response.end(body)
    })
    const resolve = vi.fn(toLoopback)
    const bytes = await fetchBytes(`${origin}/a/b.mp4?${secret}&x=1,2#part`, trusting(origin, { resolve }))
    expect(Buffer.compare(bytes, body)).toBe(0)
    expect(seen.url).toBe(`/a/b.mp4?${secret}&x=1,2`)
    expect(seen.headers).toEqual({
      host: `media.test:${port}`,
      accept: '*/*',
      'accept-encoding': 'identity',
      'user-agent': 'cosmos-embed',
      connection: 'close',
    })
    expect(resolve).toHaveBeenCalledOnce()
  })

  test('accepts a literal address that the policy allows, without resolving it', async () => {
    const { port } = await serve((_, response) => response.end('ok'))
    const resolve = vi.fn(toLoopback)
    const origin = `http://127.0.0.1:${port}`
    expect(await fetchBytes(`${origin}/a`, trusting(origin, { resolve }))).toHaveLength(2)
    expect(resolve).not.toHaveBeenCalled()
  })

  test('connects to the checked address, even if the name resolves to another one afterwards', async () => {
    const { origin } = await serve((_, response) => response.end('ok'))
    const resolve = vi.fn(toLoopback).mockResolvedValueOnce([{ address: '127.0.0.1', family: 4 }])
    resolve.mockResolvedValue([{ address: '169.254.169.254', family: 4 }])
    expect(await fetchBytes(`${origin}/a`, trusting(origin, { resolve }))).toHaveLength(2)
    expect(resolve).toHaveBeenCalledOnce()
  })

  test.each([
    [400, 'download_rejected'],
    [403, 'download_rejected'],
    [404, 'download_rejected'],
    [204, 'download_rejected'],
    [206, 'download_rejected'],
    [302, 'download_rejected'],
    [304, 'download_rejected'],
    [408, 'download_failed'],
    [429, 'download_failed'],
    [500, 'download_failed'],
    [503, 'download_failed'],
  ])('status %i is %s', async (status, code) => {
    const { origin } = await serve((_, response) => {
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {})
      response.end(status === 204 || status === 304 ? undefined : 'upstream says SECRET')
    })
    const error = await refusal(fetchBytes(`${origin}/secret-path?${secret}`, trusting(origin)))
    expect(error).toMatchObject({ code, status: 502, details: { status } })
    expect(error.retryable).toBe(code === 'download_failed')
    expect(error.message).toMatch(/^media\.test:\d+ \(path [0-9a-f]{12}\) answered /)
  })

  const bodies: [string, RequestListener, object][] = [
    [
      'longer than allowed by its own account',
      (_, response) => {
        response.writeHead(200, { 'content-length': 1001 })
        response.flushHeaders()
      },
      { code: 'limit', status: 422, details: { limit: 1000 } },
    ],
    ['longer than allowed without saying so', (_, response) => void endless(response), { code: 'limit' }],
    [
      'shorter than it says',
      (_, response) => {
        response.writeHead(200, { 'content-length': 900 })
        response.write('x'.repeat(800), () => response.destroy())
      },
      { code: 'download_failed' },
    ],
    [
      'broken off in mid-chunk',
      (request, response) => {
        response.write('some')
        setTimeout(() => request.socket.resetAndDestroy(), 20)
      },
      { code: 'download_failed' },
    ],
    [
      'compressed',
      (_, response) => {
        response.setHeader('content-encoding', 'gzip')
        response.end(gzipSync('bomb'))
      },
      { code: 'download_rejected' },
    ],
    ['empty', (_, response) => response.end(), { code: 'download_rejected' }],
    ['not HTTP', (request) => request.socket.end('SSH-2.0-OpenSSH\r\n'), { code: 'download_failed' }],
  ]
  test.each(bodies)('a body %s is refused', async (_, handler, expected) => {
    const { origin } = await serve(handler)
    const options = trusting(origin, { limits: { maxMediaBytes: 1000 } })
    expect(await refusal(fetchBytes(`${origin}/a?${secret}`, options))).toMatchObject(expected)
  })

  test.each(['', 'identity', 'aws-chunked', 'AWS-Chunked, identity', 'aws-chunked,'])(
    'a body that storage keeps with content-encoding "%s" is what it is',
    async (encoding) => {
      const { origin } = await serve((_, response) => {
        response.setHeader('content-encoding', encoding)
        response.end('media')
      })
      expect(await fetchBytes(`${origin}/a`, trusting(origin))).toHaveLength(5)
    },
  )

  test.each(['gzip', 'aws-chunked,gzip', 'br, identity'])('one of %s is not', async (encoding) => {
    const { origin } = await serve((_, response) => {
      response.setHeader('content-encoding', encoding)
      response.end('media')
    })
    expect(await refusal(fetchBytes(`${origin}/a`, trusting(origin)))).toMatchObject({
      code: 'download_rejected',
    })
  })

  const heads: [string, string, object][] = [
    [
      'changes the protocol',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
      { code: 'download_rejected', details: { status: 101 } },
    ],
    [
      'changes the protocol and sends on',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
      { code: 'download_rejected', details: { status: 101 } },
    ],
    [
      'changes the protocol without a name for it',
      'HTTP/1.1 101 Switching Protocols\r\n\r\n',
      { code: expect.stringMatching(/^download_/) },
    ],
    ['only asks to continue', 'HTTP/1.1 100 Continue\r\n\r\n', { code: 'download_failed' }],
    [
      'only gives hints',
      'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(3),
      { code: 'download_failed' },
    ],
  ]
  test.each(heads)(
    'a host that %s ends the download, whether it closes or not',
    async (_, head, expected) => {
      for (const closes of [true, false]) {
        const server = createTcpServer((socket) => {
          socket.on('error', () => {})
          socket.once('data', () => (closes ? socket.end(head) : socket.write(head)))
        })
        const origin = `http://media.test:${await listen(server)}`
        const options = trusting(origin, { limits: { headersTimeoutMs: 300, maxDownloads: 1 } })
        const sources = createSources(options)
        const error = await refusal(sources.video({ type: 'url', url: `${origin}/a?${secret}` }))
        expect(error).toMatchObject(expected)
        expect(sources.queue()).toEqual({ waiting: 0, running: 0 })
      }
    },
  )

  test('a host that closes without a word ends the download', async () => {
    for (const end of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const server = createTcpServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () => socket[end]())
      })
      const origin = `http://media.test:${await listen(server)}`
      const error = await refusal(fetchBytes(`${origin}/a?${secret}`, trusting(origin)))
      expect(error).toMatchObject({ code: 'download_failed' })
    }
  })

  test('a body of exactly the limit passes', async () => {
    const { origin } = await serve((_, response) => response.end('x'.repeat(1000)))
    expect(
      await fetchBytes(`${origin}/a`, trusting(origin, { limits: { maxMediaBytes: 1000 } })),
    ).toHaveLength(1000)
  })

  test('an unreachable host and an unknown name are retryable', async () => {
    const port = await listen(createTcpServer())
    await closeServers()
    const origin = `http://media.test:${port}`
    const refused = await refusal(fetchBytes(`${origin}/a?${secret}`, trusting(origin)))
    expect(refused).toMatchObject({ code: 'download_failed', details: { reason: 'ECONNREFUSED' } })
    const resolve: Resolve = async () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND 10.0.0.1'), { code: 'ENOTFOUND' })
    }
    const unknown = await refusal(fetchBytes(`${origin}/a?${secret}`, trusting(origin, { resolve })))
    expect(unknown).toMatchObject({ code: 'download_failed', details: { reason: 'ENOTFOUND' } })
  })
})

describe('redirects', () => {
  const hops = (target: (path: string) => string | undefined) =>
    serve((request, response) => {
      const location = target(request.url ?? '')
      if (location === undefined) response.end('arrived')
      else response.writeHead(302, { location }).end('moved')
    })

  test('are followed up to the limit, relative ones too, and no further', async () => {
    const { origin } = await hops((path) => (path === '/3' ? undefined : `/${Number(path.slice(1)) + 1}`))
    for (const maxRedirects of [1, 2, 3]) {
      const options = trusting(origin, { urls: { maxRedirects } })
      expect(await fetchBytes(`${origin}/${3 - maxRedirects}`, options)).toHaveLength('arrived'.length)
      expect(await refusal(fetchBytes(`${origin}/${2 - maxRedirects}`, options))).toMatchObject({
        code: 'download_rejected',
        message: expect.stringContaining('redirect'),
      })
    }
  })

  const targets = [
    'https://127.0.0.1/',
    'https://[::ffff:10.0.0.1]/',
    'http://other.test/',
    'file:///etc/passwd',
    'https://media.test:22/',
    'https://u:p@media.test/',
    'http://',
  ]
  test.each(targets)('to %s are blocked like a first URL', async (target) => {
    const { origin } = await hops(() => target)
    const options = trusting(origin, { urls: { maxRedirects: 3 } })
    const error = await refusal(fetchBytes(`${origin}/a?${secret}`, options), /SECRET/)
    expect(error).toMatchObject({ code: 'blocked_url' })
  })

  test('resolve and check the new name', async () => {
    const { origin } = await hops(() => 'https://inner.test/')
    const resolve: Resolve = async () => [{ address: '127.0.0.1', family: 4 }]
    const options = trusting(origin, { urls: { maxRedirects: 1 }, resolve })
    expect(await refusal(fetchBytes(`${origin}/a`, options))).toMatchObject({
      code: 'blocked_url',
      message: 'inner.test is not a public host',
    })
  })
})
