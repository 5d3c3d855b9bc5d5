/** Receives request bodies and limits their size, one by one and all together. */
import type { IncomingMessage } from 'node:http'
import { OverloadedError, RequestTooLargeError } from '../errors.ts'
import { HttpError } from './errors.ts'
import { sendContinue } from './expect-continue.ts'
import type { HttpLimits } from './options.ts'

const blockBytes = 1024 * 1024
/**
 * Reading a chunk takes microseconds whatever its size, so millions of one-byte chunks would keep the event loop busy. A network
 * splits a body into pieces of at least several hundred bytes, apart from the pieces of a slow sender.
 */
const freeChunks = 2_000
const leastChunkBytes = 64

/** A received body. Each block has an ArrayBuffer of its own, which can be transferred to a worker thread. */
export interface Body {
  blocks: Uint8Array<ArrayBuffer>[]
  length: number
  /** Stops counting the bytes. Idempotent. */
  release(): void
}

/** Counts the bytes of all bodies in memory. */
export class BodyMeter {
  readonly limits: HttpLimits
  #bytes = 0

  constructor(limits: HttpLimits) {
    this.limits = limits
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Throws RequestTooLargeError or OverloadedError if `content-length` alone is over a limit. */
  checkHeaders(request: IncomingMessage, maxBytes: number = this.limits.maxBodyBytes): void {
    const declared = Number(request.headers['content-length'] ?? 0)
    checkSize(declared, maxBytes)
    this.#checkRoom(declared)
  }

  /**
   * Receives the whole body. Counts received bytes only, so that a slow client reserves no more than it has sent. Rejects
   * with RequestTooLargeError, OverloadedError, HttpError or `signal.reason`.
   */
  read(
    request: IncomingMessage,
    signal: AbortSignal,
    maxBytes: number = this.limits.maxBodyBytes,
  ): Promise<Body> {
    return new Promise((resolve, reject) => {
      const blocks = new Blocks()
      let chunks = 0
      let released = false
      const release = () => {
        if (released) return
        released = true
        this.#bytes -= blocks.length
      }
      const stop = (error: unknown) => {
        finish()
        release()
        // Discards the rest of the body: many clients read the response only after sending all of it.
        if (error instanceof CountlessChunksError) request.pause()
        else request.resume()
        reject(error)
      }
      const onData = (chunk: Uint8Array) => {
        idle.refresh()
        chunks += 1
        try {
          checkChunks(chunks, blocks.length)
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
      const onError = () =>
        stop(new HttpError('bad_request', 'the connection closed before the body was complete'))
      const onAbort = () => stop(signal.reason)
      const idle = setTimeout(() => {
        const { bodyIdleTimeoutMs } = this.limits
        stop(new HttpError('request_timeout', `no byte of the body arrived for ${bodyIdleTimeoutMs} ms`))
      }, this.limits.bodyIdleTimeoutMs)
      const finish = () => {
        clearTimeout(idle)
        request.off('data', onData).off('end', onEnd).off('error', onError)
        signal.removeEventListener('abort', onAbort)
      }
      request.on('data', onData).on('end', onEnd).on('error', onError)
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) onAbort()
      else sendContinue(request)
    })
  }

  #checkRoom(length: number): void {
    const { maxBodyBytesInFlight } = this.limits
    if (this.#bytes + length <= maxBodyBytesInFlight) return
    throw new OverloadedError(`too many bytes of requests in flight, the limit is ${maxBodyBytesInFlight}`)
  }
}

/** The rest of such a body is not read: each of its chunks would cost as much. */
class CountlessChunksError extends HttpError {
  constructor() {
    super('bad_request', `the body comes in chunks of fewer than ${leastChunkBytes} bytes on average`, {
      connection: 'close',
    })
  }
}

function checkChunks(count: number, bytes: number): void {
  if (count > freeChunks && bytes < count * leastChunkBytes) throw new CountlessChunksError()
}

function checkSize(length: number, maxBytes: number): void {
  if (length <= maxBytes) return
  throw new RequestTooLargeError(`request body exceeds maximum ${maxBytes} bytes`, {
    details: { found: length, limit: maxBytes },
  })
}

/** Collects chunks without growing a buffer: copying 100 MiB at once would block the event loop. */
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

  #grow(bytes: number): void {
    const first = this.#block.length === 0
    if (!first) this.#full.push(this.#block)
    // Most bodies are a single chunk, so the first block has the size of that chunk.
    this.#block = Buffer.allocUnsafeSlow(first ? bytes : blockBytes)
    this.#used = 0
  }
}
