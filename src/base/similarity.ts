/** What vectors are for: how alike two things are. */
import { InvalidArgumentError } from '../errors.ts'

/** A vector, from here or from wherever it was kept, or a result that has one. */
export type VectorLike = ArrayLike<number> | { readonly embedding: ArrayLike<number> }

export interface Ranked<T> {
  /** The candidate itself. */
  item: T
  /** Its place among the candidates. */
  index: number
  /** Cosine similarity, −1 to 1. */
  score: number
}

/**
 * Cosine similarity, −1 to 1: how well a text fits a video, or two videos one another. Only vectors of one model
 * compare. Throws InvalidArgumentError.
 */
export function similarity(a: VectorLike, b: VectorLike): number {
  const [left, right] = [numbersOf(a, 'a'), numbersOf(b, 'b')]
  if (left.length !== right.length) {
    throw new InvalidArgumentError(
      `b: has ${right.length} numbers and a has ${left.length}: vectors of two models do not compare`,
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
  throw new InvalidArgumentError('a vector has no direction: all of it is zero, or not all of it is numbers')
}

/** The candidates by cosine similarity to `query`, best first, equals in their order. Throws InvalidArgumentError. */
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
