/** Comparison of vectors. */
import { InvalidArgumentError } from '../errors.ts'

/** A vector, e.g. a `Float32Array` or an array of numbers, or a result that has one as `embedding`. */
export type VectorLike = ArrayLike<number> | { readonly embedding: ArrayLike<number> }

/** A candidate of {@link rank} with its score. */
export interface Ranked<T> {
  /** The candidate itself. */
  item: T
  /** Position of the candidate in the input, from 0. */
  index: number
  /** Cosine similarity, −1 to 1. */
  score: number
}

/**
 * Cosine similarity, −1 to 1, of a text and a video or of any two items. Both vectors must come from the same model.
 * Throws InvalidArgumentError when the lengths differ or a vector is zero, empty or not finite.
 *
 * ```js
 * similarity(await embedder.embedText('a red car'), await embedder.embedVideo('clip.mp4'))
 * ```
 */
export function similarity(a: VectorLike, b: VectorLike): number {
  const [left, right] = [numbersOf(a, 'a'), numbersOf(b, 'b')]
  if (left.length !== right.length) {
    throw new InvalidArgumentError(
      `b: has ${right.length} numbers and a has ${left.length}: vectors of different models cannot be compared`,
    )
  }
  let [dot, leftSquares, rightSquares] = [0, 0, 0]
  for (let i = 0; i < left.length; i++) {
    const [x, y] = [left[i] as number, right[i] as number]
    dot += x * y
    leftSquares += x * x
    rightSquares += y * y
  }
  const lengths = Math.sqrt(leftSquares * rightSquares)
  if (lengths > 0 && Number.isFinite(lengths)) return dot / lengths
  throw new InvalidArgumentError(
    'a vector has no direction: it is all zeros or holds values that are not finite numbers',
  )
}

/**
 * Sorts candidates by cosine similarity to `query`, best first; candidates with equal scores keep their order. Throws
 * InvalidArgumentError as {@link similarity} does.
 */
export function rank<T extends VectorLike>(query: VectorLike, candidates: Iterable<T>): Ranked<T>[] {
  return [...candidates]
    .map((item, index) => ({ item, index, score: similarity(query, item) }))
    .sort((a, b) => b.score - a.score)
}

function numbersOf(vector: VectorLike, name: string): ArrayLike<number> {
  const numbers = (vector as { embedding?: ArrayLike<number> } | null)?.embedding ?? vector
  if (typeof numbers === 'object' && numbers !== null && 'length' in numbers && numbers.length > 0)
    return numbers
  throw new InvalidArgumentError(
    `${name}: must be a vector, such as a Float32Array, or a result with an embedding`,
  )
}
