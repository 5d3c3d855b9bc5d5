/** Decides which URLs may be fetched. `address.ts` checks the addresses once the host name is resolved. */
import { createHash } from 'node:crypto'
import type { z } from 'zod'
import { checkOptions } from '../base/validate.ts'
import { lazySchema } from '../base/zod.ts'
import { BlockedUrlError } from '../errors.ts'
import { isCertificates } from './certificates.ts'

/** Rules for the URLs that may be fetched. */
export interface UrlRules {
  /** Host names that may be fetched from: exact names, or `*.suffix` for every name below. Default: all. */
  allow?: readonly string[] | undefined
  /** Origins (`http://host:port`) that may be fetched over plain http. Default: none. */
  http?: readonly string[] | undefined
  /** Origins whose addresses may be private or loopback, such as storage in your own network; http or https. Default: none. */
  private?: readonly string[] | undefined
  /** Ports that are allowed besides 443, 1 to 65,535. The ports of `http` and `private` origins need no entry. */
  ports?: readonly number[] | undefined
  /** Redirects to follow, 0 to 3. Default 0. Each target is checked like the first URL. */
  maxRedirects?: number | undefined
  /** Certificate authorities to trust besides Node's own, in PEM. */
  ca?: readonly string[] | undefined
}

/** `off` fetches nothing. `public`, the default, allows https to public addresses on port 443, without redirects. */
export type UrlPolicy = 'off' | 'public' | UrlRules

/** Validates a {@link UrlPolicy} and applies the default. */
export const urlPolicySchema: () => z.ZodType<UrlPolicy, UrlPolicy | undefined> = lazySchema((z) => {
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
  return z
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
})

/** Applies the default. Throws InvalidArgumentError. */
export function checkUrlPolicy(policy: UrlPolicy | undefined): UrlPolicy {
  if (policy === undefined) return 'public'
  return policy === 'off' || policy === 'public' ? policy : checkOptions(urlPolicySchema(), policy, 'urls')
}

/** A URL that the policy allows. */
export interface PermittedUrl {
  url: URL
  /** Whether its host may have private addresses. */
  privateAllowed: boolean
}

/**
 * Parses a URL, or the target of a redirect from `from`, and checks it against the policy. Throws BlockedUrlError. Its
 * message never contains the path or query, because a presigned URL is a credential.
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

/** Identifies a URL in messages by its host and a hash of its path, which does not grant access to it. */
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
  // `URL` omits the scheme's default port; only https URLs get here.
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

/** Whether the URL has no path, query or user, because a rule for `http://host/bucket` would not be enforced. */
function isBareOrigin(text: string): boolean {
  const url = new URL(text)
  return (
    url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  )
}
