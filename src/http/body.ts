/** Reads a request's body, metering it before anything looks at it. */
import type { IncomingMessage } from 'node:http'
import { OverloadedError, RequestTooLargeError } from '../errors.ts'
import { HttpError } from './errors.ts'
import { invite } from './expectations.ts'
import type { HttpLimits } from './options.ts'

const blockBytes = 1024 * 1024

/** Received pieces, each in an ArrayBuffer of its own so that it can be given to another thread. */
export interface Body {
  blocks: Uint8Array<ArrayBuffer>[]
  length: number
  /** Says that the bytes are gone or counted elsewhere. Idempotent. */
  release(): void
}

/** Bytes of bodies in memory, over all requests. */
export class BodyMeter {
  readonly limits: HttpLimits
  #bytes = 0

  constructor(limits: HttpLimits) {
    this.limits = limits
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Refuses what the headers already show to be too much, before a byte of the body is read. */
  checkHeaders(request: IncomingMessage, maxBytes: number = this.limits.maxBodyBytes): void {
    const declared = Number(request.headers['content-length'] ?? 0)
    checkSize(declared, maxBytes)
    this.#checkRoom(declared)
  }

  /**
   * The whole body. Only received bytes count, so that a slow client pins no more than it has sent.
   * Rejects with RequestTooLargeError, OverloadedError, HttpError or `signal.reason`.
   */
  read(
    request: IncomingMessage,
    signal: AbortSignal,
    maxBytes: number = this.limits.maxBodyBytes,
  ): Promise<Body> {
    return new Promise((resolve, reject) => {
      const blocks = new Blocks()
      let released = false
      const release = () => {
        if (released) return
        released = true
        this.#bytes -= blocks.length
      }
      const stop = (error: unknown) => {
        finish()
        release()
        // What still arrives is thrown away, so that the client can read the answer.
        request.resume()
        reject(error)
      }
      const onData = (chunk: Uint8Array) => {
        idle.refresh()
        try {
          checkSize(blocks.length + chunk.length, maxBytes)
          this.#checkRoom(chunk.length)
        } catch (error) {
          stop(error)
          return
        }
        this.#bytes += chunk.length
        blocks.push(chunk)
      }
      const onEnd = () => {
        finish()
        resolve({ blocks: blocks.finish(), length: blocks.length, release })
      }
      const onError = () => stop(new HttpError('bad_request', 'the body broke off'))
      const onAbort = () => stop(signal.reason)
      const idle = setTimeout(() => {
        const { bodyIdleTimeoutMs } = this.limits
        stop(new HttpError('request_timeout', `no byte of the body came for ${bodyIdleTimeoutMs} ms`))
      }, this.limits.bodyIdleTimeoutMs)
      const finish = () => {
        clearTimeout(idle)
        request.off('data', onData).off('end', onEnd).off('error', onError)
        signal.removeEventListener('abort', onAbort)
      }
      request.on('data', onData).on('end', onEnd).on('error', onError)
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) onAbort()
      else invite(request)
    })
  }

  #checkRoom(length: number): void {
    const { maxBodyBytesInFlight } = this.limits
    if (this.#bytes + length <= maxBodyBytesInFlight) return
    throw new OverloadedError(`too many bytes of requests in flight, the limit is ${maxBodyBytesInFlight}`)
  }
}

function checkSize(length: number, maxBytes: number): void {
  if (length <= maxBytes) return
  throw new RequestTooLargeError(`request body exceeds maximum ${maxBytes} bytes`, {
    details: { found: length, limit: maxBytes },
  })
}

/** Collects chunks without ever copying what it already holds: a copy of 100 MiB would stall every other request. */
class Blocks {
  length = 0
  readonly #full: Uint8Array<ArrayBuffer>[] = []
  #block = new Uint8Array(0)
  #used = 0

  push(chunk: Uint8Array): void {
    this.length += chunk.length
    let rest = chunk
    while (rest.length > 0) {
      if (this.#used === this.#block.length) this.#grow(rest.length)
      const part = rest.subarray(0, this.#block.length - this.#used)
      this.#block.set(part, this.#used)
      this.#used += part.length
      rest = rest.subarray(part.length)
    }
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    return [...this.#full, this.#block.subarray(0, this.#used)]
  }

  #grow(wanted: number): void {
    const first = this.#block.length === 0
    if (!first) this.#full.push(this.#block)
    // Most bodies are one chunk; only those that go on get blocks of the full size.
    this.#block = Buffer.allocUnsafeSlow(first ? wanted : blockBytes)
    this.#used = 0
  }
}
