/** Collects bytes that arrive in chunks, up to a limit. */
import { abortable } from '../base/abort.ts'
import { shortageOf } from '../base/shortage.ts'
import { CosmosEmbedError, LimitError, OutOfMemoryError, SourceError } from '../errors.ts'
import { chunksOf } from './chunks.ts'
import type { ByteStream } from './source.ts'
import { asUint8Array, isBytes } from './type-guards.ts'

const firstCapacity = 256 * 1024

/** Reserves memory for `bytes` more bytes. */
export type Reserve = (bytes: number) => Promise<void>

export interface CollectorOptions {
  /** Names the input in messages. */
  what: string
  /** The most bytes to accept. */
  limit: number
  /** Awaited before anything is allocated. */
  reserve: Reserve
  /** The announced length in bytes, if known; it saves copying. */
  expected?: number | undefined
}

export class ByteCollector {
  readonly #limit: number
  readonly #what: string
  readonly #reserve: Reserve
  readonly #expected: number | undefined
  #buffer = Buffer.alloc(0)
  #length = 0

  constructor({ what, limit, reserve, expected }: CollectorOptions) {
    this.#what = what
    this.#limit = limit
    this.#reserve = reserve
    this.#expected = expected
  }

  get length(): number {
    return this.#length
  }

  /** Appends a copy of the chunk. Rejects with LimitError if it exceeds the limit, or as `reserve` does. */
  async add(chunk: Uint8Array): Promise<void> {
    const length = this.#length + chunk.byteLength
    if (length > this.#limit) throw tooLarge(this.#what, this.#limit)
    if (length > this.#buffer.length) await this.#enlarge(length)
    this.#buffer.set(chunk, this.#length)
    this.#length = length
  }

  async #enlarge(length: number): Promise<void> {
    const capacity = Math.min(this.#limit, this.#capacityFor(length))
    await this.#reserve(capacity - this.#buffer.length)
    const larger = Buffer.allocUnsafeSlow(capacity)
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }

  /** An announced length is allocated only once an eighth of it has arrived, because it may be wrong. */
  #capacityFor(length: number): number {
    const doubled = Math.max(firstCapacity, length, 2 * this.#buffer.length)
    if (this.#expected === undefined || this.#expected < length) return doubled
    return this.#expected <= 8 * length ? this.#expected : Math.min(this.#expected, doubled)
  }

  /** The collected bytes. The collector must not be used afterwards. */
  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }
}

export function tooLarge(what: string, limit: number): LimitError {
  return new LimitError(`${what} is larger than ${limit} bytes (see maxMediaBytes)`, {
    details: { limit },
  })
}

/**
 * Reads a caller's stream to its end and closes it in any case. Rejects with LimitError, SourceError, `signal.reason`, or
 * OutOfMemoryError if the stream failed for want of descriptors or memory.
 */
export async function collectStream(
  stream: ByteStream,
  limit: number,
  reserve: Reserve,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  signal?.throwIfAborted()
  try {
    // Races with the signal, because memory may be waited for.
    return await abortable(readAll(chunksOf(stream, signal), limit, reserve), signal)
  } catch (error) {
    if (signal?.aborted || error instanceof CosmosEmbedError) throw error
    const shortage = shortageOf(error)
    if (shortage) throw new OutOfMemoryError(`the input stream failed: ${shortage}`, { cause: error })
    throw new SourceError('the input stream failed before its end', { cause: error })
  }
}

/** Reads the bytes of a Blob. Rejects as {@link collectStream} does. */
export async function readBlob(
  blob: Blob,
  limit: number,
  reserve: Reserve,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (blob.size > limit) throw tooLarge(`the Blob (${blob.size} bytes)`, limit)
  if (blob.size === 0) throw new SourceError('the Blob is empty')
  await reserve(blob.size)
  try {
    return new Uint8Array(await abortable(blob.arrayBuffer(), signal))
  } catch (error) {
    signal.throwIfAborted()
    throw new SourceError('the Blob cannot be read: did its file change?', { cause: error })
  }
}

async function readAll(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  reserve: Reserve,
): Promise<Uint8Array> {
  const collector = new ByteCollector({ what: 'the input stream', limit, reserve })
  for await (const chunk of chunks) {
    if (!isBytes(chunk)) {
      throw new SourceError(`the input stream yields ${typeof chunk}, expected Uint8Array chunks`)
    }
    await collector.add(asUint8Array(chunk))
  }
  if (collector.length === 0) throw new SourceError('the input stream ended without a single byte')
  return collector.take()
}
