import { describe, expect, it } from 'vitest'
import { rawExchange, serveDouble } from './support.ts'

const body = JSON.stringify({ request_type: 'query', input: 'a red circle', model: 'double' })

interface Call {
  target?: string
  headers?: Record<string, string | undefined>
  content?: string
}

/** The status and body of one raw request, whose headers may be ones that no client of Node would send. */
async function call(
  url: string,
  { target = 'POST /v1/embeddings', headers = {}, content = body }: Call = {},
) {
  const all = {
    host: new URL(url).host,
    'content-type': 'application/json',
    'content-length': String(content.length),
    connection: 'close',
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}: ${value}\r\n`,
  )
  const answer = await rawExchange(url, `${target} HTTP/1.1\r\n${lines.join('')}\r\n${content}`)
  const [, status] = /^HTTP\/1.1 (\d+) /.exec(answer) ?? []
  return { status: Number(status), code: /"code":"(\w+)"/.exec(answer)?.[1], answer }
}

const names = (url: string, ...more: string[]) => {
  const { port } = new URL(url)
  return [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    'localhost',
    'LOCALHOST.',
    'a.localhost',
    `[::1]:${port}`,
    ...more,
  ]
}

describe('a server on loopback', () => {
  it('accepts the names of loopback, and IP addresses', async () => {
    const { url } = await serveDouble()
    for (const host of names(url, '10.0.0.7:8000', '[fd00::1]')) {
      expect({ host, ...(await call(url, { headers: { host } })), answer: '' }).toMatchObject({
        host,
        status: 200,
      })
    }
  })

  it.each([
    'evil.example',
    'evil.example:80',
    '127.0.0.1.nip.io',
    'localhost.evil.example',
    'xn--e1afmkfd.example',
  ])('refuses the name %s on every route but health', async (host) => {
    const { url } = await serveDouble()
    for (const target of [
      'POST /v1/embeddings',
      'POST /page/clip',
      'GET /',
      'GET /v1/metadata',
      'GET /openapi.json',
      'GET /nowhere',
    ]) {
      const content = target.startsWith('POST') ? body : ''
      expect(await call(url, { target, content, headers: { host } })).toMatchObject({
        status: 403,
        code: 'forbidden',
      })
    }
    expect((await call(url, { target: 'GET /v1/health/live', content: '', headers: { host } })).status).toBe(
      200,
    )
  })

  it('accepts pages of loopback, and of no other site', async () => {
    const { url } = await serveDouble()
    const origins = (list: (string | undefined)[]) =>
      Promise.all(list.map(async (origin) => (await call(url, { headers: { origin } })).status))
    expect(await origins([undefined, url, 'http://localhost:5173', 'https://app.localhost'])).toEqual([
      200, 200, 200, 200,
    ])
    const foreign = [
      'https://evil.example',
      'null',
      'http://localhost.evil.example',
      'http://10.0.0.7',
      'file://',
      'nonsense',
      '',
    ]
    expect(await origins(foreign)).toEqual(foreign.map(() => 403))
  })

  it('accepts the allowed names too, and any with *', async () => {
    const { url } = await serveDouble({ allowedHosts: ['Media.example', '*.intern.example'] })
    const hosts = ['media.example:443', 'a.intern.example', 'localhost', 'intern.example', 'other.example']
    const byHost = await Promise.all(
      hosts.map(async (host) => (await call(url, { headers: { host } })).status),
    )
    expect(byHost).toEqual([200, 200, 200, 403, 403])
    const headers = { host: 'media.example', origin: 'https://media.example' }
    expect((await call(url, { headers })).status).toBe(200)
    const any = await serveDouble({ allowedHosts: ['*'] })
    expect((await call(any.url, { headers: { host: 'evil.example', origin: 'null' } })).status).toBe(200)
  })
})

describe('a server on all addresses', () => {
  it('accepts any name, unless names are listed', async () => {
    const anywhere = await serveEverywhere([])
    const headers = { host: 'media.example', origin: 'https://front.example' }
    expect((await call(anywhere, { headers })).status).toBe(200)
    const named = await serveEverywhere(['media.example'])
    expect((await call(named, { headers })).status).toBe(403)
    expect(
      (await call(named, { headers: { host: 'media.example', origin: 'https://media.example' } })).status,
    ).toBe(200)
    expect((await call(named, { headers: { host: 'evil.example' } })).status).toBe(403)
  })
})

describe('what a browser sends without a preflight request', () => {
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    undefined,
    'video/mp4',
    '',
  ]

  it.each(['POST /v1/embeddings', 'POST /page/clip'])('is refused by %s', async (target) => {
    const { url } = await serveDouble({ allowedHosts: ['*'] })
    for (const type of types) {
      const headers = { 'content-type': type, origin: 'https://evil.example' }
      expect(await call(url, { target, headers })).toMatchObject({
        status: 415,
        code: 'unsupported_media_type',
      })
    }
  })
})

describe('Host', () => {
  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['two of them', 'localhost\r\nhost: localhost'],
    ['no host', 'a b'],
    ['with a path', 'localhost/a'],
    ['with a user', 'user@localhost'],
  ])('(%s) is refused with the documented body', async (_, host) => {
    const { url } = await serveDouble()
    const { status, answer } = await call(url, { headers: { host } })
    expect(status).toBe(400)
    expect(answer).toContain('"type":"invalid_request_error","code":"bad_request"')
  })
})

async function serveEverywhere(allowedHosts: string[]): Promise<string> {
  const { url } = await serveDouble({ allowedHosts }, {}, '0.0.0.0')
  return url.replace('0.0.0.0', '127.0.0.1')
}

it('app.inject, which has no socket, is not refused', async () => {
  const { server } = await serveDouble()
  const get = (url: string) => server.app.inject({ method: 'GET', url })
  const answers = await Promise.all(['/v1/version', '/v1/health/ready', '/nowhere'].map(get))
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 404])
  const posted = await server.app.inject({
    method: 'POST',
    url: '/v1/embeddings',
    headers: { 'content-type': 'application/json' },
    payload: body,
  })
  expect(posted.statusCode).toBe(200)
})
