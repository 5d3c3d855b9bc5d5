/**
 * Checks the Host and Origin of requests. Any page that a browser shows can send requests to a server on the same machine,
 * also under a host name that the page's owner has pointed at it (DNS rebinding). Clients other than browsers send no
 * Origin and are not affected.
 */
import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import { HttpError } from './errors.ts'

/**
 * Returns the check of a request, which throws HttpError. A server that listens on loopback accepts the names of loopback
 * and those in `allowed`. Any other server accepts every name, unless `allowed` lists some.
 */
export function hostCheck(allowed: readonly string[]): (request: FastifyRequest) => void {
  const isAllowed = (name: string) =>
    isLoopbackName(name) || allowed.some((pattern) => matches(name, pattern))
  return (request) => {
    const host = hostOf(request)
    if (allowed.includes('*') || (allowed.length === 0 && !listensOnLoopback(request))) return
    // An IP address is not resolved, so it cannot be rebound.
    if (host && !isIP(host.name) && !isAllowed(host.name)) {
      throw new HttpError('forbidden', `the host name ${host.name} is not allowed: see allowed hosts`)
    }
    const { origin } = request.headers
    if (origin === undefined) return
    const from = URL.canParse(origin) ? new URL(origin) : undefined
    if (from && (from.host === host?.text || isAllowed(nameOf(from)))) return
    throw new HttpError('forbidden', 'pages of other sites may not call this server: see allowed hosts')
  }
}

interface Host {
  /** Lower case, without brackets, port, and trailing dot. */
  name: string
  /** As in `URL.host`: with the port, unless it is the scheme's default. */
  text: string
}

/** Undefined for HTTP/1.0 without a Host header, which that version does not require. */
function hostOf({ raw }: FastifyRequest): Host | undefined {
  const { rawHeaders } = raw
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (isHostHeader(rawHeaders[at] as string)) count += 1
  if (count === 0 && raw.httpVersion === '1.0') return undefined
  const host = count === 1 ? parseHost(raw.headers.host ?? '') : undefined
  if (!host) throw new HttpError('bad_request', 'exactly one valid Host header is needed')
  return host
}

function isHostHeader(name: string): boolean {
  return name.length === 4 && name.toLowerCase() === 'host'
}

/** The valid hosts that were parsed last. Clients of a server use few, and parsing a URL takes longer than all other checks. */
const parsedHosts = new Map<string, Host>()
const maxParsedHosts = 64

function parseHost(text: string): Host | undefined {
  const known = parsedHosts.get(text)
  if (known) return known
  const url = `http://${text}`
  if (!URL.canParse(url) || !/^[^/?#@\\]+$/.test(text)) return undefined
  const parsed = new URL(url)
  const host = { name: nameOf(parsed), text: parsed.host }
  if (parsedHosts.size >= maxParsedHosts) parsedHosts.clear()
  parsedHosts.set(text, host)
  return host
}

function nameOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$|\.$/g, '')
}

/** The answers for servers that listen, whose addresses do not change. */
const onLoopback = new WeakMap<object, boolean>()

function listensOnLoopback({ server }: FastifyRequest): boolean {
  const known = onLoopback.get(server.server)
  if (known !== undefined) return known
  const address = server.server.address()
  const is = typeof address === 'object' && address !== null && isLoopbackAddress(address.address)
  if (address !== null) onLoopback.set(server.server, is)
  return is
}

function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name)
}

function isLoopbackAddress(text: string): boolean {
  return ipaddr.isValid(text) && ipaddr.process(text).range() === 'loopback'
}

function matches(name: string, pattern: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern
}
