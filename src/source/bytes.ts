/** Bytes that arrive piece by piece, up to a limit. */
import { Readable } from 'node:stream'
import type { ReadableStream as NodeWebStream } from 'node:stream/web'
import { abortable } from '../abort.ts'
import { CosmosEmbedError, RequestTooLargeError, SourceError } from '../errors.ts'
import { asUint8Array, isBytes, isWebStream } from './given.ts'
import type { ByteStream } from './source.ts'

const firstCapacity = 256 * 1024

export class ByteCollector {
  readonly #limit: number
  readonly #what: string
  #buffer: Buffer
  #length = 0

  /** `what` names the input in messages; `expected` bytes, when known, spare copying. */
  constructor(what: string, limit: number, expected?: number) {
    this.#what = what
    this.#limit = limit
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(limit, expected ?? firstCapacity))
  }

  get length(): number {
    return this.#length
  }

  /** Copies the chunk. Throws RequestTooLargeError when the limit would be passed. */
  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.byteLength
    if (length > this.#limit) throw tooLarge(this.#what, this.#limit)
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#limit, Math.max(length, 2 * this.#buffer.length)))
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    this.#buffer.set(chunk, this.#length)
    this.#length = length
  }

  /** What was added. The collector must not be used afterwards. */
  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }
}

export function tooLarge(what: string, limit: number): RequestTooLargeError {
  return new RequestTooLargeError(`${what} is larger than ${limit} bytes (see maxMediaBytes)`, {
    details: { limit },
  })
}

/**
 * Reads a caller's stream to its end and closes it in any case.
 * Rejects with RequestTooLargeError, SourceError, or `signal.reason`.
 */
export async function collectStream(
  stream: ByteStream,
  limit: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  signal?.throwIfAborted()
  const readable = toReadable(stream)
  try {
    // Raced, because a generator that never yields cannot be interrupted.
    return await abortable(readAll(readable, limit), signal)
  } catch (error) {
    if (signal?.aborted || error instanceof CosmosEmbedError) throw error
    throw new SourceError('the input stream failed before its end', { cause: error })
  } finally {
    readable.destroy()
  }
}

/** The bytes of a Blob. Rejects as {@link collectStream}. */
export async function readBlob(blob: Blob, limit: number, signal?: AbortSignal): Promise<Uint8Array> {
  signal?.throwIfAborted()
  if (blob.size > limit) throw tooLarge(`the Blob (${blob.size} bytes)`, limit)
  if (blob.size === 0) throw new SourceError('the Blob is empty')
  try {
    return new Uint8Array(await abortable(blob.arrayBuffer(), signal))
  } catch (error) {
    signal?.throwIfAborted()
    throw new SourceError('the Blob cannot be read: did its file change?', { cause: error })
  }
}

async function readAll(readable: Readable, limit: number): Promise<Uint8Array> {
  const collector = new ByteCollector('the input stream', limit)
  for await (const chunk of readable) {
    if (!isBytes(chunk)) {
      throw new SourceError(`the input stream yields ${typeof chunk}, expected Uint8Array chunks`)
    }
    collector.add(asUint8Array(chunk))
  }
  if (collector.length === 0) throw new SourceError('the input stream ended without a single byte')
  return collector.take()
}

/** One kind of stream to deal with, and one that can be destroyed while a read is pending. */
function toReadable(stream: ByteStream): Readable {
  if (stream instanceof Readable) return stream
  if (isWebStream(stream)) return Readable.fromWeb(stream as unknown as NodeWebStream)
  return Readable.from(stream, { highWaterMark: 1 })
}
