/**
 * Who may call: a browser reaches a server on its own machine whatever page it shows, and takes any name for it that a page's
 * owner has pointed here. Clients that are no browsers send no origin and notice nothing.
 */
import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import { HttpError } from './errors.ts'

/**
 * Returns the check of a request's Host and Origin, which throws HttpError. A server on loopback goes by the names of
 * loopback and by `allowed`; any other goes by every name, unless `allowed` says which.
 */
export function visitorCheck(allowed: readonly string[]): (request: FastifyRequest) => void {
  const isAllowed = (name: string) =>
    isLoopbackName(name) || allowed.some((pattern) => matches(name, pattern))
  return (request) => {
    const host = hostOf(request)
    if (allowed.includes('*') || (allowed.length === 0 && !listensOnLoopback(request))) return
    // A literal address is no name that somebody could have pointed here.
    if (host && !isIP(host.name) && !isAllowed(host.name)) {
      throw new HttpError('forbidden', `this server does not go by the name ${host.name}: see allowed hosts`)
    }
    const { origin } = request.headers
    if (origin === undefined) return
    const from = URL.canParse(origin) ? new URL(origin) : undefined
    if (from && (from.host === host?.text || isAllowed(nameOf(from)))) return
    throw new HttpError('forbidden', 'pages of other sites may not call this server: see allowed hosts')
  }
}

interface Host {
  /** In lower case, without brackets, port, and dot at the end. */
  name: string
  /** As a URL has it: with the port, unless that is the usual one. */
  text: string
}

/** Nothing in HTTP/1.0, which needs none. */
function hostOf({ raw }: FastifyRequest): Host | undefined {
  const given = raw.rawHeaders.filter((header, at) => at % 2 === 0 && header.toLowerCase() === 'host').length
  if (given === 0 && raw.httpVersion === '1.0') return undefined
  const url = `http://${raw.headers.host}`
  const isHost = given === 1 && URL.canParse(url) && /^[^/?#@\\]+$/.test(raw.headers.host ?? '')
  if (!isHost) throw new HttpError('bad_request', 'exactly one valid Host header is needed')
  const parsed = new URL(url)
  return { name: nameOf(parsed), text: parsed.host }
}

function nameOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$|\.$/g, '')
}

function listensOnLoopback({ server }: FastifyRequest): boolean {
  const address = server.server.address()
  return typeof address === 'object' && address !== null && isLoopbackAddress(address.address)
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
