/** Adds to an error the position of the item that caused it. */
import { type CosmosEmbedError, errorTable } from '../errors.ts'

/** A copy of the error with the item's `index`, or the error itself if it already has one. */
export function addItemIndex(error: CosmosEmbedError, index: number): CosmosEmbedError {
  return error.index === undefined ? withIndex(error, index) : error
}

/** A copy of the error with another `index`, e.g. the item's position in another list. */
export function withIndex(error: CosmosEmbedError, index: number | undefined): CosmosEmbedError {
  const ErrorClass = errorTable[error.code].class
  // Spread to keep what subclasses add, such as `retryAfter`.
  const copy = new ErrorClass(error.message, {
    ...error,
    ...('cause' in error && { cause: error.cause }),
    permanent: !error.retryable,
    index,
  })
  copy.stack = error.stack ?? ''
  return copy
}
