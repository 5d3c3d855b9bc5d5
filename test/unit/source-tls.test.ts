import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls, { type TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createSources } from '../../src/source/sources.ts'
import { fetchBytes, type Options, refusal, secret, toLoopback } from './downloads.ts'

const openssl = (() => {
  try {
    return execFileSync('openssl', ['version']).length > 0
  } catch {
    return false
  }
})()

describe.skipIf(!openssl)('TLS (needs the openssl command)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cosmos-embed-tls-'))
  const file = (name: string) => join(folder, name)
  let port = 0
  let names: (string | false | undefined)[] = []
  let server: ReturnType<typeof createTlsServer>

  beforeAll(async () => {
    const subject = ['-subj', '/CN=media.test', '-addext', 'subjectAltName=DNS:media.test']
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        ...subject,
        '-keyout',
        file('key.pem'),
        '-out',
        file('cert.pem'),
      ],
      { stdio: 'ignore' },
    )
    server = createTlsServer(
      { key: readFileSync(file('key.pem')), cert: readFileSync(file('cert.pem')) },
      (request, response) => {
        names.push((request.socket as TLSSocket & { servername?: string }).servername)
        if (request.url === '/down') response.writeHead(302, { location: `http://media.test:${port}/` }).end()
        else response.end('over TLS')
      },
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => {
    server.close()
    rmSync(folder, { recursive: true })
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    names = []
  })

  const options = (host: string, trusted = true): Options => ({
    resolve: toLoopback,
    urls: {
      private: [`https://${host}:${port}`, `http://media.test:${port}`],
      maxRedirects: 1,
      ...(trusted && { ca: [readFileSync(file('cert.pem'), 'utf8')] }),
    },
  })

  test('connects to the address, and sends and checks the host name', async () => {
    expect(await fetchBytes(`https://media.test:${port}/a`, options('media.test'))).toHaveLength(
      'over TLS'.length,
    )
    expect(names).toEqual(['media.test'])
  })

  test.each([
    ['a certificate of another name', 'other.test', true],
    ['an unknown authority', 'media.test', false],
  ])('%s is not trusted, whatever the environment says', async (_, host, trusted) => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const error = await refusal(fetchBytes(`https://${host}:${port}/a?${secret}`, options(host, trusted)))
    expect(error).toMatchObject({
      code: 'download_rejected',
      message: expect.stringContaining('not trusted'),
    })
    expect(names).toEqual([])
  })

  test('reads the authorities once, not for each download', async () => {
    const made = vi.spyOn(tls, 'createSecureContext')
    syncBuiltinESMExports()
    try {
      const sources = createSources(options('media.test'))
      const url = `https://media.test:${port}/a`
      for (let time = 0; time < 3; time++) await sources.video({ type: 'url', url })
      const read = made.mock.calls.filter(([given]) => given?.ca !== undefined)
      expect(names).toHaveLength(3)
      expect(read).toHaveLength(1)
    } finally {
      made.mockRestore()
      syncBuiltinESMExports()
    }
  })

  test.each([
    ['nothing', ''],
    ['a text', 'my authority'],
    ['a broken certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['a key', () => readFileSync(file('key.pem'), 'utf8')],
  ])('an authority that is %s is refused by name, not passed over', (_, given) => {
    const ca = [typeof given === 'string' ? given : given()]
    expect(() => createSources({ urls: { ca } })).toThrow('urls.ca[0]: must be certificates in PEM')
  })

  test('never redirects from https to http, not even to an allowed http origin', async () => {
    const error = await refusal(fetchBytes(`https://media.test:${port}/down`, options('media.test')))
    expect(error).toMatchObject({
      code: 'blocked_url',
      message: expect.stringContaining('from https to http:'),
    })
  })
})
