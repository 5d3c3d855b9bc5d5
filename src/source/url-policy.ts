/** Which URLs may be fetched. Addresses are checked in `address.ts`, when the name has been resolved. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { BlockedUrlError } from '../errors.ts'
import { isCertificates } from './trust.ts'

export interface UrlRules {
  /** Host names that may be fetched from, exact or `*.suffix`. Default: any public one. */
  allow?: readonly string[] | undefined
  /** Exact origins (`http://host:port`) where plain http is accepted. */
  http?: readonly string[] | undefined
  /** Exact origins whose addresses may be private or loopback: storage of your own network, http or https. */
  private?: readonly string[] | undefined
  /** Ports besides 443; the ports of `http` and `private` origins need no listing. */
  ports?: readonly number[] | undefined
  /** 0 to 3, default 0. Every hop is checked like the first. */
  maxRedirects?: number | undefined
  /** PEM certificates of authorities to trust besides the well-known ones. */
  ca?: readonly string[] | undefined
}

/** `off`: nothing is fetched. `public` (the default): https to public addresses, port 443, no redirects. */
export type UrlPolicy = 'off' | 'public' | UrlRules

const origin = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && isBareOrigin(text), {
    error: 'must be an origin such as http://storage.internal:9000',
  })
  .transform((text) => new URL(text).origin)
const host = z
  .string()
  .regex(/^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i, { error: 'must be a host name or *.suffix' })
  .transform((name) => name.toLowerCase())

const certificates = z.string().refine(isCertificates, { error: 'must be certificates in PEM' })

export const urlPolicySchema: z.ZodType<UrlPolicy, UrlPolicy | undefined> = z
  .union(
    [
      z.literal('off'),
      z.literal('public'),
      z.strictObject({
        allow: z.array(host).readonly().optional(),
        http: z.array(origin).readonly().optional(),
        private: z.array(origin).readonly().optional(),
        ports: z.array(z.int().min(1).max(65_535)).readonly().optional(),
        maxRedirects: z.int().min(0).max(3).optional(),
        ca: z.array(certificates).readonly().optional(),
      }),
    ],
    { error: 'must be "off", "public" or an object of rules' },
  )
  .default('public')

/** A URL that passed, as it will be dialled. */
export interface PermittedUrl {
  url: URL
  /** Whether its addresses may be private. */
  privateAllowed: boolean
}

/**
 * Parses and checks a URL, or the target of a redirect from `from`.
 * Throws BlockedUrlError, whose message never holds the path or query: a presigned URL is a credential.
 */
export function permitUrl(text: string, policy: UrlPolicy, from?: URL): PermittedUrl {
  if (policy === 'off') throw new BlockedUrlError('this embedder fetches no URLs (urls: "off")')
  const rules = policy === 'public' ? {} : policy
  if (!URL.canParse(text, from?.href)) throw new BlockedUrlError('the URL cannot be parsed')
  const url = new URL(text, from)
  url.hash = ''
  if (url.username !== '' || url.password !== '') {
    throw new BlockedUrlError(`the URL of ${url.host} holds a user name or password`)
  }
  const privateAllowed = rules.private?.includes(url.origin) ?? false
  const listed = privateAllowed || (rules.http?.includes(url.origin) ?? false)
  checkScheme(url, listed, from)
  if (!listed) {
    checkPort(url, rules)
    checkHost(url, rules)
  }
  return { url, privateAllowed }
}

/** The host and a hash of the path: enough to find a URL in a log, too little to use it. */
export function describeUrl(url: URL): string {
  const path = createHash('sha256').update(url.pathname).digest('hex').slice(0, 12)
  return `${url.host} (path ${path})`
}

function checkScheme(url: URL, listed: boolean, from: URL | undefined): void {
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && listed)) {
    throw new BlockedUrlError(`${url.protocol} URLs are not fetched: use https`)
  }
  if (from?.protocol === 'https:' && url.protocol !== 'https:') {
    throw new BlockedUrlError(`${from.host} redirects from https to ${url.protocol}`)
  }
}

function checkPort(url: URL, { ports = [] }: UrlRules): void {
  // URL leaves the scheme's own port out, and only https comes here.
  if (url.port === '' || ports.includes(Number(url.port))) return
  throw new BlockedUrlError(`port ${url.port} of ${url.hostname} is not among the allowed ports`)
}

function checkHost(url: URL, { allow = [] }: UrlRules): void {
  const name = url.hostname.replace(/\.$/, '')
  const matches = (pattern: string) =>
    pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern
  if (allow.length > 0 && !allow.some(matches)) {
    throw new BlockedUrlError(`${url.hostname} is not among the allowed hosts`)
  }
}

/** No path, query or user: listing `http://host/bucket` would promise a restriction that is not made. */
function isBareOrigin(text: string): boolean {
  const url = new URL(text)
  return (
    url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  )
}
