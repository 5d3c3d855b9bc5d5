/** Errors that say which item of a request they are about. */
import { type CosmosEmbedError, errorTable } from '../errors.ts'

/** The same error, saying which item of the request it is about. */
export function atItem(error: CosmosEmbedError, index: number): CosmosEmbedError {
  return error.index === undefined ? withIndex(error, index) : error
}

/** The same error about the item at `index` of another list. */
export function withIndex(error: CosmosEmbedError, index: number | undefined): CosmosEmbedError {
  const ErrorClass = errorTable[error.code].class
  // Spread for what subclasses add, e.g. `retryAfter`.
  const copy = new ErrorClass(error.message, {
    ...error,
    ...('cause' in error && { cause: error.cause }),
    permanent: !error.retryable,
    index,
  })
  copy.stack = error.stack ?? ''
  return copy
}
