/**
 * Downloads presigned URLs without giving access to the local network: the policy and the addresses of every hop are
 * checked, and the connection is made to exactly the checked addresses.
 */
import type { LookupAddress } from 'node:dns'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { abortable, onAbort } from '../base/abort.ts'
import { shortageOf } from '../base/shortage.ts'
import { BlockedUrlError, CosmosEmbedError, DownloadError, OutOfMemoryError } from '../errors.ts'
import { checkedAddresses, type Resolve, resolveWithSystem, sameAddress } from './address.ts'
import { ByteCollector, type Reserve, tooLarge } from './bytes.ts'
import { type DownloadSlots, enterSlot, type ResolvedReadOptions } from './download-slots.ts'
import { DownloadTimer } from './download-timer.ts'
import type { Limits } from './limits.ts'
import { secureContextOf } from './trust.ts'
import { describeUrl, type PermittedUrl, permitUrl, type UrlPolicy } from './url-policy.ts'

/** What an embedder sets for all of its downloads. */
export interface DownloadSettings {
  policy: UrlPolicy
  limits: Limits
  slots: DownloadSlots
  /** Name resolution. Default: the system resolver. */
  resolve?: Resolve | undefined
}

/** What all downloads of an embedder share. */
interface DownloadContext extends DownloadSettings {
  resolve: Resolve
  /** Authorities to trust, if they differ from Node's. Created once, because parsing them takes longer than a connection. */
  trust: SecureContext | undefined
}

/** How an embedder downloads. */
export interface Downloads {
  /** Downloads one URL of at most `limit` bytes. */
  whole: (text: string, limit: number, options: ResolvedReadOptions) => Promise<Uint8Array>
  /** Opens a URL that never ends. */
  endless: (text: string, signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>
}

export function createDownloads({ resolve = resolveWithSystem, ...settings }: DownloadSettings): Downloads {
  const downloads = { ...settings, resolve, trust: secureContextOf(settings.policy) }
  return {
    whole: (text, limit, options) => download(text, limit, downloads, options),
    endless: (text, signal) => downloadEndless(text, downloads, signal),
  }
}

/**
 * Downloads a URL of at most `limit` bytes. Rejects with BlockedUrlError (policy), DownloadError (network or host), LimitError
 * or `signal.reason`.
 */
async function download(
  text: string,
  limit: number,
  downloads: DownloadContext,
  options: ResolvedReadOptions,
): Promise<Uint8Array> {
  const { signal } = options
  signal.throwIfAborted()
  const first = permitUrl(text, downloads.policy)
  const release = await enterSlot(downloads.slots, options, hostOf(first.url))
  const timer = new DownloadTimer(describeUrl(first.url), downloads.limits.downloadTimeoutMs, signal)
  try {
    const { response, url, close } = await followRedirects(first, { downloads, timer })
    try {
      return await readBody(response, url, { limit, downloads, timer, reserve: options.reserve })
    } finally {
      close()
    }
  } catch (error) {
    // An abort destroys the socket and surfaces as its error, so the reason of the abort replaces that.
    throw timer.signal.aborted ? timer.signal.reason : error
  } finally {
    timer.stop()
    release()
  }
}

/** The host that slots are counted by, without port and trailing dot. */
function hostOf(url: URL): string {
  return url.hostname.replace(/\.$/, '')
}

interface Transfer {
  /** The most bytes to accept. */
  limit: number
  downloads: DownloadContext
  timer: DownloadTimer
  reserve: Reserve
}

/**
 * Opens a URL that never ends and yields its body as it comes. Only connecting is limited in time, and no download slot is
 * taken, which an endless stream would never give back. Throws BlockedUrlError, DownloadError or `signal.reason`.
 */
async function* downloadEndless(
  text: string,
  downloads: DownloadContext,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal.throwIfAborted()
  const first = permitUrl(text, downloads.policy)
  const timer = new DownloadTimer(describeUrl(first.url), undefined, signal)
  let opened: { response: IncomingMessage; url: URL; close(): void } | undefined
  try {
    opened = await followRedirects(first, { downloads, timer })
    checkHeaders(opened.response, opened.url, Number.POSITIVE_INFINITY)
    timer.enter('endless', downloads.limits)
    for await (const chunk of opened.response) yield chunk as Buffer
  } catch (error) {
    if (timer.signal.aborted) throw timer.signal.reason
    throw opened ? asDownloadError(error, opened.url) : error
  } finally {
    opened?.close()
    timer.stop()
  }
}

async function followRedirects(
  first: PermittedUrl,
  { downloads, timer }: Pick<Transfer, 'downloads' | 'timer'>,
): Promise<{ response: IncomingMessage; url: URL; close(): void }> {
  const { policy } = downloads
  const maxRedirects = typeof policy === 'object' ? (policy.maxRedirects ?? 0) : 0
  let target = first
  for (let hop = 0; ; hop++) {
    const { response, close } = await open(target, downloads, timer)
    const location = redirectOf(response)
    if (location === undefined) return { response, url: target.url, close }
    try {
      if (hop === maxRedirects) {
        throw new DownloadError(
          `${describeUrl(target.url)} answered with a redirect, and no more than ${maxRedirects} are followed`,
          { permanent: true, details: { status: response.statusCode ?? 0 } },
        )
      }
      target = permitUrl(location, policy, target.url)
    } finally {
      close()
    }
  }
}

interface OpenResponse {
  response: IncomingMessage
  close(): void
}

/** Resolves and checks the host, connects and waits for the response headers. */
async function open(
  target: PermittedUrl,
  downloads: DownloadContext,
  timer: DownloadTimer,
): Promise<OpenResponse> {
  const { limits, resolve, trust } = downloads
  const { url, privateAllowed } = target
  timer.enter('connect', limits)
  const addresses = await abortable(
    checkedAddresses(url.hostname, privateAllowed, resolve).catch((error) => {
      throw asDownloadError(error, url)
    }),
    timer.signal,
  )
  const hostname = url.hostname.replace(/^\[|\]$|\.$/g, '')
  const secure = url.protocol === 'https:'
  const request = (secure ? requestHttps : requestHttp)({
    hostname,
    port: url.port || (secure ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    headers: {
      host: url.host,
      accept: '*/*',
      'accept-encoding': 'identity',
      'user-agent': 'cosmos-embed',
      connection: 'close',
    },
    // No agent: neither a pooled socket of another request nor a proxy from the environment is used.
    agent: false,
    lookup: fixedLookup(addresses),
    ...(secure && {
      servername: isIP(hostname) ? '' : hostname,
      rejectUnauthorized: true,
      secureContext: trust,
    }),
  })
  const forget = onAbort(timer.signal, () => request.destroy())
  const close = () => {
    forget()
    request.destroy()
  }
  try {
    const response = await new Promise<IncomingMessage>((resolveResponse, reject) => {
      // `on`, not `once`: closing an unfinished response emits a second error, which would be uncaught.
      request.on('error', reject)
      request.on('response', resolveResponse)
      // Nobody asked for another protocol. Node stops watching a connection that changed to one, so that no error would follow.
      request.on('upgrade', ({ statusCode }, socket) => {
        socket.destroy()
        reject(unwantedStatus(url, statusCode ?? 0))
      })
      // Whatever ends the request without a response must end the wait: only `close` is certain to come.
      request.on('close', () => reject(new DownloadError(`${describeUrl(url)} closed the connection`)))
      request.on('socket', (socket) => {
        socket.once('connect', () => {
          if (!isConnectedTo(addresses, socket))
            request.destroy(new BlockedUrlError(`${url.hostname} changed its address`))
        })
        socket.once(secure ? 'secureConnect' : 'connect', () => timer.enter('headers', limits))
      })
      request.end()
    })
    return { response, close }
  } catch (error) {
    close()
    throw asDownloadError(error, url)
  }
}

/** A lookup that returns the checked addresses, so that the name is not resolved again, possibly to others. */
function fixedLookup(addresses: LookupAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses
    if (options.all) callback(null, addresses)
    else if (first) callback(null, first.address, first.family)
  }
}

function isConnectedTo(addresses: LookupAddress[], socket: Socket): boolean {
  const remote = socket.remoteAddress
  return remote !== undefined && addresses.some(({ address }) => sameAddress(address, remote))
}

function redirectOf(response: IncomingMessage): string | undefined {
  const isRedirect = [301, 302, 303, 307, 308].includes(response.statusCode ?? 0)
  return isRedirect ? response.headers.location : undefined
}

async function readBody(
  response: IncomingMessage,
  url: URL,
  { limit, timer, reserve, downloads: { limits } }: Transfer,
): Promise<Uint8Array> {
  const expected = checkHeaders(response, url, limit)
  const what = `the body from ${describeUrl(url)}`
  const collector = new ByteCollector({
    what,
    limit,
    expected,
    reserve: (bytes) => timer.pauseWhile(reserve(bytes)),
  })
  timer.enter('body', limits)
  try {
    for await (const chunk of response) {
      timer.received((chunk as Buffer).length)
      await collector.add(chunk as Buffer)
    }
  } catch (error) {
    throw asDownloadError(error, url)
  }
  if (expected !== undefined && collector.length !== expected) {
    throw new DownloadError(`${describeUrl(url)} sent ${collector.length} of ${expected} bytes`)
  }
  if (collector.length === 0)
    throw new DownloadError(`${describeUrl(url)} sent an empty body`, { permanent: true })
  return collector.take()
}

/** Throws unless the response is an unencoded 200 that may fit the limit. Returns its announced length, if any. */
function checkHeaders(response: IncomingMessage, url: URL, limit: number): number | undefined {
  const status = response.statusCode ?? 0
  if (status !== 200) throw unwantedStatus(url, status)
  if (!isUnencoded(response.headers['content-encoding'])) {
    throw new DownloadError(`${describeUrl(url)} sent a compressed body although identity was asked for`, {
      permanent: true,
    })
  }
  const header = response.headers['content-length']
  if (header === undefined) return undefined
  const length = Number(header)
  if (length > limit) throw tooLarge(`the body from ${describeUrl(url)} (${length} bytes)`, limit)
  return length
}

function unwantedStatus(url: URL, status: number): DownloadError {
  return new DownloadError(`${describeUrl(url)} answered ${status}`, {
    permanent: status < 500 && status !== 408 && status !== 429,
    details: { status },
  })
}

/** Accepts `aws-chunked` and empty names, which object storage may keep from the upload although the body is not encoded. */
function isUnencoded(encoding = ''): boolean {
  return encoding
    .split(',')
    .every((name) => ['', 'identity', 'aws-chunked'].includes(name.trim().toLowerCase()))
}

/** Describes a network error by its code, because its text contains addresses. */
function asDownloadError(error: unknown, url: URL): unknown {
  if (error instanceof CosmosEmbedError) return error
  const shortage = shortageOf(error)
  if (shortage) return new OutOfMemoryError(`${describeUrl(url)} cannot be downloaded now: ${shortage}`)
  const code = (error as NodeJS.ErrnoException | null)?.code ?? 'unknown'
  const details = { reason: code }
  if (/CERT|TLS|SSL|SIGNATURE|SIGNED/.test(code)) {
    return new DownloadError(`${describeUrl(url)}: the TLS connection is not trusted (${code})`, {
      permanent: true,
      details,
    })
  }
  const unknownHost = code === 'ENOTFOUND' || code === 'EAI_AGAIN'
  const reason = unknownHost ? 'the host name does not resolve' : 'the connection failed'
  return new DownloadError(`${describeUrl(url)}: ${reason} (${code})`, { details })
}
