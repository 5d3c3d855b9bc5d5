/** The interface of an index that is searched. */
import { InvalidArgumentError } from '../../errors.ts'
import type { IndexDescription, IndexRow } from '../sink.ts'

/** A row of an index that was found, without its vector. */
export interface IndexHit extends Omit<IndexRow, 'embedding'> {
  /** Id of the video or text: the same as `id`, unless the index has windows. */
  item: string
  /** Cosine similarity with the query, −1 to 1. */
  score: number
}

/** Options of {@link VectorIndex.search}. */
export interface IndexSearchOptions {
  /** Number of results, 1 to 100,000. Default 10. */
  top?: number | undefined
  /** Ends the search, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** An index that is open for searches. Any number of them may run at once. */
export interface VectorIndex {
  /** The model, the frame rule and the windows of its vectors. */
  readonly description: IndexDescription
  /** Number of vectors when it was opened. */
  readonly rows: number
  /**
   * The rows whose vectors are the most similar to `vector`, best first. Of a folder or a file the search is exact; a
   * database searches as its own index for the column does.
   *
   * Rejects with InvalidArgumentError if the vector has the wrong length or no direction.
   */
  search(vector: ArrayLike<number>, options?: IndexSearchOptions): Promise<IndexHit[]>
  /** Releases files, connections and memory. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What the implementations share: the checks of the arguments, and disposal. `query` has unit length. */
export abstract class CheckedIndex implements VectorIndex {
  readonly description: IndexDescription
  readonly rows: number

  constructor(description: IndexDescription, rows: number) {
    this.description = description
    this.rows = rows
  }

  protected abstract nearest(query: Float32Array, top: number, signal: AbortSignal): Promise<IndexHit[]>
  abstract close(): Promise<void>

  async search(
    vector: ArrayLike<number>,
    { top = 10, signal = new AbortController().signal }: IndexSearchOptions = {},
  ): Promise<IndexHit[]> {
    signal.throwIfAborted()
    if (!Number.isInteger(top) || top < 1 || top > MAX_TOP) {
      throw new InvalidArgumentError(`top: expected a whole number from 1 to ${MAX_TOP}, found ${top}`)
    }
    const hits = await this.nearest(unitVector(vector, this.description), top, signal)
    signal.throwIfAborted()
    return hits
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const MAX_TOP = 100_000

function unitVector(vector: ArrayLike<number>, { model }: IndexDescription): Float32Array {
  if (vector.length !== model.embeddingDim) {
    throw new InvalidArgumentError(
      `vector: has ${vector.length} numbers, and those of the index have ${model.embeddingDim}: embed the query with the ` +
        `index's model, ${model.id}`,
    )
  }
  const values = Float64Array.from(vector)
  const length = Math.hypot(...values)
  if (length > 0 && Number.isFinite(length)) return Float32Array.from(values, (value) => value / length)
  throw new InvalidArgumentError(
    'vector: has no direction: it is all zeros or holds values that are not finite numbers',
  )
}
