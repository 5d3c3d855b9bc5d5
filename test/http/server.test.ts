import dns from 'node:dns'
import { DeviceLostError, OverloadedError } from 'cosmos-embed'
import { createServer } from 'cosmos-embed/http'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { doubleEmbedder } from './embedder-double.ts'
import { eventually, gate, post, request, serveDouble } from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }

describe('readiness', () => {
  it('is false with a reason until the model is loaded, then true', async () => {
    const { opened, open } = gate()
    const server = await createServer({ embedder: opened.then(() => doubleEmbedder()) })
    onTestFinished(() => server.close())
    const url = await server.listen({ port: 0 })
    const early = await request(`${url}/v1/health/ready`)
    expect(early.status).toBe(503)
    expect(early.body).toEqual({
      object: 'health.response',
      message: 'NIM Service is not ready: the model is loading',
      status: 'not_ready',
      ready: false,
    })
    expect((await request(`${url}/v1/health/live`)).status).toBe(200)
    const refused = await post(url, query)
    expect(refused.status).toBe(503)
    expect(refused.body).toMatchObject({ error: { code: 'not_ready', type: 'service_unavailable' } })
    expect(refused.headers.get('retry-after')).toBe('1')
    open()
    await server.ready
    expect((await request(`${url}/v1/health/ready`)).body).toEqual({
      object: 'health.response',
      message: 'NIM Service is ready',
      status: 'ready',
      ready: true,
      model: 'double',
      embedding_dim: 8,
    })
  })

  it.each([
    ['loaded', () => Promise.reject(new Error('secret path'))],
    [
      'warmed up',
      () => Object.assign(doubleEmbedder(), { embedVideo: () => Promise.reject(new Error('secret path')) }),
    ],
  ])('stays false when the model cannot be %s, and reveals no details', async (_, embedder) => {
    const server = await createServer({ embedder: embedder() })
    onTestFinished(() => server.close())
    const url = await server.listen({ port: 0 })
    await expect(server.ready).rejects.toThrow('secret path')
    const { status, body } = await request(`${url}/v1/health/ready`)
    expect(status).toBe(503)
    expect(JSON.stringify(body)).toContain('could not be loaded')
    expect(JSON.stringify(body)).not.toContain('secret')
    expect((await post(url, query)).body).toMatchObject({ error: { code: 'not_ready' } })
  })

  it('turns false when the device is lost', async () => {
    const before = () => {
      throw new DeviceLostError('fell off the bus')
    }
    const { url } = await serveDouble({}, { before })
    expect((await post(url, query)).status).toBe(503)
    const { status, body } = await request(`${url}/v1/health/ready`)
    expect(status).toBe(503)
    expect(body).toMatchObject({ ready: false, message: expect.stringContaining('the device was lost') })
    const refused = await post(url, query)
    expect(refused.body).toMatchObject({ error: { code: 'device_lost' } })
    expect(refused.headers.get('x-should-retry'), 'nothing to wait for').toBe('false')
    expect(refused.headers.get('retry-after')).toBeNull()
    expect((await request(`${url}/v1/models`)).status).toBe(200)
  })

  it('turns false when the embedder is disposed, and tells clients not to retry', async () => {
    const { url, double } = await serveDouble()
    await double.dispose()
    const { status, body } = await request(`${url}/v1/health/ready`)
    expect({ status, body }).toMatchObject({ status: 503, body: { ready: false } })
    const closed = await post(url, query)
    expect(closed).toMatchObject({ status: 503, body: { error: { code: 'closed' } } })
    expect(closed.headers.get('x-should-retry')).toBe('false')
    expect(closed.headers.get('retry-after')).toBeNull()
  })

  it('comes after a warm-up that has to wait for a busy embedder', async () => {
    const embedder = doubleEmbedder()
    const { embedText } = embedder
    let busy = 2
    embedder.embedText = async (...args) => {
      if (busy-- > 0) throw new OverloadedError('busy', { retryAfter: 0 })
      return embedText(...args)
    }
    const server = await createServer({ embedder })
    onTestFinished(() => server.close())
    const url = await server.listen({ port: 0 })
    await server.ready
    expect((await request(`${url}/v1/health/ready`)).status).toBe(200)
    expect(busy).toBe(-1)
  })

  it('is false during the warm-up, but requests are answered as soon as the model is loaded', async () => {
    const embedder = doubleEmbedder()
    const { embedVideo } = embedder
    const { opened, open } = gate()
    embedder.embedVideo = async (...args) => {
      await opened
      return embedVideo(...args)
    }
    const server = await createServer({ embedder })
    onTestFinished(() => server.close())
    const url = await server.listen({ port: 0 })
    const early = await request(`${url}/v1/health/ready`)
    expect(early.status).toBe(503)
    expect(early.body).toMatchObject({ message: 'NIM Service is not ready: the model is warming up' })
    expect((await post(url, query)).status).toBe(200)
    open()
    await server.ready
    expect((await request(`${url}/v1/health/ready`)).status).toBe(200)
  })

  it('is refused where the clip of the warm-up could never be admitted', async () => {
    const embedder = doubleEmbedder()
    const info = embedder.info()
    const limits = { ...info.limits, input: { ...info.limits.input, maxBytesInFlight: 6143 } }
    embedder.info = () => ({ ...info, limits })
    const server = await createServer({ embedder })
    onTestFinished(() => server.close())
    await expect(server.ready).rejects.toThrow(
      'limits.maxBytesInFlight: a server needs at least 6144, which is the clip that it warms the model up with, found 6143',
    )
  })
})

describe('bearer keys', () => {
  it('give access to everything; health and the files of the pages need none', async () => {
    const { url } = await serveDouble({ apiKeys: ['first', 'second'] })
    const { headers, ...refused } = await post(url, query)
    expect(refused.status).toBe(401)
    expect(headers.get('www-authenticate')).toBe('Bearer')
    expect(refused.body).toMatchObject({ error: { code: 'unauthorized', type: 'authentication_error' } })
    const statuses = async (authorization: string) => {
      const init = { headers: { authorization } }
      return [(await post(url, query, init)).status, (await request(`${url}/v1/models`, init)).status]
    }
    expect(await statuses('Bearer first')).toEqual([200, 200])
    expect(await statuses('bearer second')).toEqual([200, 200])
    expect(await statuses('Bearer third')).toEqual([401, 401])
    expect(await statuses('Basic first')).toEqual([401, 401])
    for (const path of ['/openapi.json', '/v1/metrics', '/health/metrics', '/v1/metadata', '/page/clip']) {
      expect((await request(url + path)).status, path).toBe(401)
    }
    // The pages ask the user for a key.
    const files = ['/', '/page/page.js', '/page/clips/captions.json', '/docs', '/docs/docs.js']
    for (const path of ['/v1/health/ready', '/v1/health/live', ...files]) {
      expect((await request(url + path)).status, path).toBe(200)
    }
  })
})

describe('a feature that is switched off', () => {
  it('has no routes', async () => {
    const { url } = await serveDouble({ page: false, docs: false, metrics: false })
    for (const path of [
      '/',
      '/page/page.js',
      '/docs',
      '/v1/metrics',
      '/health/metrics',
      '/v1/health/metrics',
    ]) {
      expect((await request(url + path)).status, path).toBe(404)
    }
    expect((await request(`${url}/openapi.json`)).status).toBe(200)
  })
})

describe('the metadata', () => {
  it('has the fields of the NIM', async () => {
    const { url } = await serveDouble({}, { servedNames: ['double', 'alias'] })
    const get = async (path: string) => (await request(url + path)).body
    expect(await get('/v1/models')).toMatchObject({
      object: 'list',
      data: [
        { id: 'double', object: 'model' },
        { id: 'alias', object: 'model' },
      ],
    })
    const licence = (await get('/v1/license')) as { content: string; size: number; sha: string }
    expect(licence).toMatchObject({
      name: 'Apache-2.0',
      path: 'LICENSE',
      type: 'file',
      size: licence.content.length,
    })
    expect(licence.content).toContain('Apache License')
    expect(licence.sha).toMatch(/^[0-9a-f]{40}$/)
    expect(await get('/v1/metadata')).toMatchObject({
      assetInfo: [],
      licenseInfo: licence,
      modelInfo: [
        { shortName: 'double', modelUrl: '' },
        { shortName: 'alias', modelUrl: '' },
      ],
      repository_override: '',
      limits: {
        request: { maxBodyBytes: 128 * 1024 ** 2, requestTimeoutMs: 300_000 },
        input: { maxItems: 64, maxInlineBytes: 32 * 1024 ** 2, maxMediaBytes: 96 * 1024 ** 2 },
        inFlight: { maxItemsInFlight: 64, maxBytesInFlight: 1024 ** 3, maxVideoBatch: 8 },
      },
      urls: 'off',
    })
    expect(await get('/v1/version')).toEqual({ release: expect.stringMatching(/^\d+\.\d+/), api: '1.1.0' })
  })
})

describe('options', () => {
  it('that are invalid are refused by name', async () => {
    const embedder = doubleEmbedder()
    await expect(createServer({ embedder, limits: { maxBodyBytes: 0 } })).rejects.toThrow('maxBodyBytes')
    await expect(createServer({ embedder, colour: 'red' } as never)).rejects.toThrow('colour')
    await expect(createServer({} as never)).rejects.toThrow('embedder')
  })
})

describe('the plugin', () => {
  it('serves under a prefix, and leaves the routes of its host alone', async () => {
    const { default: Fastify } = await import('fastify')
    const { cosmosEmbed } = await import('cosmos-embed/http')
    const app = Fastify()
    onTestFinished(() => app.close())
    app.post('/echo', async ({ body }) => body)
    await app.register(cosmosEmbed, { embedder: doubleEmbedder(), prefix: '/embed', page: false })
    const url = await app.listen({ port: 0 })
    await eventually(async () => expect((await post(`${url}/embed`, query)).status).toBe(200))
    expect((await request(`${url}/embed/v1/models`, { method: 'PUT' })).headers.get('allow')).toBe(
      'GET, HEAD',
    )
    const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } }
    expect((await request(`${url}/echo`, init)).body).toEqual({ a: 1 })
    expect((await request(`${url}/nothing`)).body).toMatchObject({ error: 'Not Found' })
  })
})

// Fastify gives every further address of localhost a server of its own, without the limits on connections.
it('serves one address of a name that has several', async () => {
  const real = dns.lookup
  const both = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
  const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((name: string, ...rest: unknown[]) => {
    const [options, done] = rest as [dns.LookupOptions, (error: null, addresses: unknown) => void]
    if (name === 'localhost' && options.all) setImmediate(() => done(null, both))
    else Reflect.apply(real, dns, [name, ...rest])
  }) as typeof dns.lookup)
  onTestFinished(() => lookup.mockRestore())
  const server = await createServer({ embedder: doubleEmbedder() })
  onTestFinished(() => server.close())
  const url = await server.listen({ host: 'localhost', port: 0 })
  expect(server.app.addresses()).toEqual([expect.objectContaining({ address: '127.0.0.1' })])
  expect((await request(`${url}/v1/health/live`)).status).toBe(200)
})
