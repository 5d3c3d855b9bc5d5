/**
 * Downloads of presigned URLs, guarded against being used as a door into the local network:
 * every hop is checked by the policy, its addresses are checked, and exactly those addresses are dialled.
 */
import type { LookupAddress } from 'node:dns'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { abortable, onAbort } from '../base/abort.ts'
import { BlockedUrlError, CosmosEmbedError, DownloadError } from '../errors.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import { checkedAddresses, type Resolve, sameAddress } from './address.ts'
import { ByteCollector, type Reserve, tooLarge } from './bytes.ts'
import type { DownloadSlots } from './download-slots.ts'
import { DownloadTimer } from './download-timer.ts'
import type { Limits } from './limits.ts'
import { describeUrl, type PermittedUrl, permitUrl, type UrlPolicy } from './url-policy.ts'

export interface Downloads {
  policy: UrlPolicy
  limits: Limits
  slots: DownloadSlots
  resolve: Resolve
  /** The authorities to trust, where they are others than Node's own: read once, since that takes longer than a connection. */
  trust: SecureContext | undefined
}

/** How media is read, with nothing left open. */
export interface CompleteReading {
  signal: AbortSignal
  priority: Priority
  room: Reserve
  waited(milliseconds: number): void
}

/** Waits for a slot; the function that comes back ends the stay in it. */
export async function enterSlot(
  slots: DownloadSlots,
  { priority, signal, waited }: CompleteReading,
  host?: string,
): Promise<() => void> {
  const asked = performance.now()
  const release = await slots.acquire({ host, priority, signal })
  waited(performance.now() - asked)
  return release
}

/**
 * The body behind a URL, of at most `limit` bytes. Rejects with BlockedUrlError (policy), DownloadError (network, upstream),
 * LimitError, or with `signal.reason`.
 */
export async function download(
  text: string,
  limit: number,
  downloads: Downloads,
  reading: CompleteReading,
): Promise<Uint8Array> {
  const { signal } = reading
  signal.throwIfAborted()
  const first = permitUrl(text, downloads.policy)
  const release = await enterSlot(downloads.slots, reading, hostOf(first.url))
  const clock = new DownloadTimer(describeUrl(first.url), downloads.limits.downloadTimeoutMs, signal)
  try {
    return await followRedirects(first, { limit, downloads, clock, room: reading.room })
  } catch (error) {
    // An abort shows up as some broken socket first; what caused it is what matters.
    throw clock.signal.aborted ? clock.signal.reason : error
  } finally {
    clock.stop()
    release()
  }
}

/** One host whatever the port, and with or without the dot at the end. */
function hostOf(url: URL): string {
  return url.hostname.replace(/\.$/, '')
}

interface Transfer {
  /** Bytes. */
  limit: number
  downloads: Downloads
  clock: DownloadTimer
  room: Reserve
}

async function followRedirects(first: PermittedUrl, transfer: Transfer): Promise<Uint8Array> {
  const { downloads, clock } = transfer
  const { policy } = downloads
  const maxRedirects = typeof policy === 'object' ? (policy.maxRedirects ?? 0) : 0
  let target = first
  for (let hop = 0; ; hop++) {
    const { response, close } = await open(target, downloads, clock)
    try {
      const location = redirectOf(response)
      if (location === undefined) {
        return await readBody(response, target.url, transfer)
      }
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

/** Resolves, checks, dials and waits for the response headers. */
async function open(target: PermittedUrl, downloads: Downloads, clock: DownloadTimer): Promise<OpenResponse> {
  const { limits, resolve, trust } = downloads
  const { url, privateAllowed } = target
  clock.enter('connect', limits)
  const addresses = await abortable(
    checkedAddresses(url.hostname, privateAllowed, resolve).catch((error) => {
      throw asDownloadError(error, url)
    }),
    clock.signal,
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
    // No pool, so no other request's socket, and no proxy of the environment.
    agent: false,
    lookup: answerWith(addresses),
    ...(secure && {
      servername: isIP(hostname) ? '' : hostname,
      rejectUnauthorized: true,
      secureContext: trust,
    }),
  })
  const forget = onAbort(clock.signal, () => request.destroy())
  const close = () => {
    forget()
    request.destroy()
  }
  try {
    const response = await new Promise<IncomingMessage>((resolveResponse, reject) => {
      // `on`: closing an unfinished response makes the request fail once more, which nobody needs to hear.
      request.on('error', reject)
      request.on('response', resolveResponse)
      request.on('socket', (socket) => {
        socket.once('connect', () => {
          if (!dialled(socket, addresses))
            request.destroy(new BlockedUrlError(`${url.hostname} changed its address`))
        })
        socket.once(secure ? 'secureConnect' : 'connect', () => clock.enter('headers', limits))
      })
      request.end()
    })
    return { response, close }
  } catch (error) {
    close()
    throw asDownloadError(error, url)
  }
}

/** A lookup that knows the checked addresses only, so that the name is not resolved a second time. */
function answerWith(addresses: LookupAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses
    if (options.all) callback(null, addresses)
    else if (first) callback(null, first.address, first.family)
  }
}

function dialled(socket: Socket, addresses: LookupAddress[]): boolean {
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
  { limit, clock, room, downloads: { limits } }: Transfer,
): Promise<Uint8Array> {
  const expected = checkHeaders(response, url, limit)
  const what = `the body from ${describeUrl(url)}`
  const collector = new ByteCollector({ what, limit, expected, room: (bytes) => clock.pausing(room(bytes)) })
  clock.enter('body', limits)
  try {
    for await (const chunk of response) {
      clock.received((chunk as Buffer).length)
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

/** Throws unless the answer is a plain 200 that may fit; returns its length when it says so. */
function checkHeaders(response: IncomingMessage, url: URL, limit: number): number | undefined {
  const status = response.statusCode ?? 0
  if (status !== 200) {
    throw new DownloadError(`${describeUrl(url)} answered ${status}`, {
      permanent: status < 500 && status !== 408 && status !== 429,
      details: { status },
    })
  }
  if (!isPlain(response.headers['content-encoding'])) {
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

/** Storage may keep the name of a transfer, `aws-chunked`, with an object that was sent to it in one, or an empty one. */
function isPlain(encoding = ''): boolean {
  return encoding
    .split(',')
    .every((name) => ['', 'identity', 'aws-chunked'].includes(name.trim().toLowerCase()))
}

/** By the error's code alone: its text holds addresses. */
function asDownloadError(error: unknown, url: URL): unknown {
  if (error instanceof CosmosEmbedError) return error
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
