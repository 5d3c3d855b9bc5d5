import { describe, expect, test, vi } from 'vitest'
import type { Resolve } from '../../src/source/address.ts'
import { mayConnect } from '../../src/source/address.ts'
import { createSources } from '../../src/source/sources.ts'
import type { UrlPolicy } from '../../src/source/url-policy.ts'
import { fetchBytes, refusal, secret, toLoopback } from './downloads.ts'

describe('addresses', () => {
  test.each(['8.8.8.8', '93.184.216.34', '2606:4700:4700::1111', '::ffff:8.8.8.8'])(
    '%s may be dialled',
    (address) => {
      expect(mayConnect(address, false)).toBe(true)
    },
  )

  const never = [
    ['0.0.0.0', '169.254.169.254', '192.0.2.1', '198.18.0.1', '203.0.113.9', '224.0.0.1', '255.255.255.255'],
    [
      '::',
      'fe80::1',
      'ff02::1',
      '2001:db8::1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
      '2001::1',
      '::ffff:169.254.169.254',
    ],
    ['::7f00:1', '4000::1', '', 'localhost', '127.0.0.1.nip.io', '1.2.3.4:80', '010.0.0.1x'],
  ].flat()
  test.each(never)('%j is never allowed, even for a private origin', (address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([false, false])
  })

  test.each([
    '127.0.0.1',
    '127.9.9.9',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '168.63.129.16',
    '::ffff:168.63.129.16',
    '::1',
    'fd00::1',
    '::ffff:10.0.0.1',
  ])('%s may be dialled for an origin that the operator vouches for only', (address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([false, true])
  })
})

describe('blocked before any connection is made', () => {
  const literals = [
    [
      '127.0.0.1',
      '127.1',
      '0x7f.1',
      '0x7f000001',
      '2130706433',
      '0177.0.0.1',
      '%31%32%37.0.0.1',
      '①②⑦.0.0.1',
    ],
    [
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:ffff:a00:1]',
      '[fd00::1]',
      '[fe80::1]',
    ],
    [
      '169.254.169.254',
      '10.0.0.1',
      '172.31.255.255',
      '192.168.0.1',
      '100.64.0.1',
      '0.0.0.0',
      '192.0.2.7',
      '224.0.0.1',
    ],
    ['[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001:db8::1]', '[ff02::1]', '[::127.0.0.1]'],
  ].flat()
  test.each(literals)('the literal %s', async (host) => {
    const resolve = vi.fn(toLoopback)
    const error = await refusal(
      fetchBytes(`https://${host}/secret-path?${secret}`, { resolve }),
      /SECRET|secret-path/,
    )
    expect(error).toMatchObject({ code: 'blocked_url', status: 422, retryable: false })
    expect(resolve).not.toHaveBeenCalled()
  })

  const answers: [string, string[]][] = [
    ['loopback', ['127.0.0.1']],
    ['a private address among public ones', ['93.184.216.34', '2606:4700:4700::1111', '10.0.0.1']],
    ['cloud metadata', ['169.254.169.254']],
    ['IPv4 wrapped in IPv6', ['::ffff:10.0.0.5']],
    ['nothing', []],
    ['nonsense', ['not an address']],
  ]
  test.each(answers)('a name that resolves to %s', async (_, addresses) => {
    const resolve: Resolve = async () =>
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    const error = await refusal(fetchBytes(`https://media.test/secret-path?${secret}`, { resolve }))
    expect(error).toMatchObject({ code: 'blocked_url', message: 'media.test is not a public host' })
  })

  const urls: [string, UrlPolicy, RegExp][] = [
    ['http://media.test/a', 'public', /http: URLs are not fetched: use https/],
    ['http://media.test/a', { allow: ['media.test'] }, /http:/],
    ['http://media.test:81/a', { http: ['http://media.test'] }, /http:/],
    ['ftp://media.test/a', 'public', /ftp:/],
    ['file:///etc/passwd', 'public', /file:/],
    ['https://media.test:8443/a', 'public', /port 8443 of media.test is not among/],
    ['https://media.test:22/a', { ports: [8443] }, /port 22/],
    ['https://user:pass@media.test/a', 'public', /user name or password/],
    ['https://media.test/a', 'off', /fetches no URLs/],
    ['https://media.test/a', { allow: ['other.test'] }, /media.test is not among the allowed hosts/],
    ['https://eviltest.com/a', { allow: ['*.test.com', 'test.com'] }, /eviltest.com is not among/],
    ['https://test.com.evil.org/a', { allow: ['*.test.com'] }, /not among/],
    ['https://test.com/a', { allow: ['*.test.com'] }, /not among/],
    ['nonsense', 'public', /cannot be parsed/],
  ]
  test.each(urls)('%s under %j', async (url, policy, message) => {
    const resolve = vi.fn(toLoopback)
    const error = await refusal(fetchBytes(url, { urls: policy, resolve }))
    expect(error).toMatchObject({ code: 'blocked_url', message: expect.stringMatching(message) })
    expect(resolve).not.toHaveBeenCalled()
  })

  test.each([
    ['https://media.test/a', { allow: ['media.test'] }],
    ['https://MEDIA.test./a', { allow: ['Media.Test'] }],
    ['https://a.b.test.com/x', { allow: ['*.test.com'] }],
    ['https://media.test:8443/a', { ports: [8443] }],
    ['http://media.test:9000/a', { http: ['http://media.test:9000/'] }],
  ] satisfies [string, UrlPolicy][])(
    '%s under %j gets as far as its addresses, which are checked all the same',
    async (url, urls) => {
      const resolve = vi.fn(toLoopback)
      expect(await refusal(fetchBytes(url, { urls, resolve }))).toMatchObject({ code: 'blocked_url' })
      expect(resolve).toHaveBeenCalledOnce()
    },
  )

  test.each([
    [{ http: ['http://h/bucket'] }, /urls.http\[0\]: must be an origin/],
    [{ private: ['h:9000'] }, /urls.private\[0\]: must be an origin/],
    [{ allow: ['https://h'] }, /urls.allow\[0\]: must be a host name/],
    [{ maxRedirects: 4 }, /urls.maxRedirects: .*found 4/],
    ['all', /urls: must be "off", "public" or an object of rules, found "all"/],
    [{ redirects: 1 }, /unknown field "redirects"/],
  ])('a policy that cannot be meant is refused: %j', (urls, message) => {
    expect(() => createSources({ urls: urls as UrlPolicy })).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(message) }),
    )
  })
})

test.each(['ENOTFOUND', 'ENODATA'])(
  'a name that is unknown (%s) is answered as one of the inside',
  async (code) => {
    const url = `https://media.test/a?${secret}`
    const unknown: Resolve = async () => {
      throw Object.assign(new Error(`getaddrinfo ${code} media.test`), { code })
    }
    const answers = await Promise.all(
      [unknown, toLoopback].map((resolve) => refusal(fetchBytes(url, { resolve }))),
    )
    const [one, other] = answers.map(({ code, message, details, retryable }) => ({
      code,
      message,
      details,
      retryable,
    }))
    expect(one).toEqual(other)
    expect(one).toMatchObject({ code: 'blocked_url', message: 'media.test is not a public host' })
  },
)
