/** Translates failures of the native addon into the error classes of this package. */
import type { NativeFailure } from '#binding'
import { CosmosEmbedError, errorTable, InternalError } from '../errors.ts'

/**
 * What a call rejects with when a native job fails: `signal.reason` when the caller's abort cancelled the job, otherwise an
 * error of the class that belongs to the failure's code. `index` is the item's position in the request.
 */
export function translateNativeFailure(
  failure: unknown,
  context: { signal?: AbortSignal | undefined; index?: number } = {},
): unknown {
  if (failure instanceof CosmosEmbedError) return failure
  if (!isNativeFailure(failure)) {
    return new InternalError('unexpected failure in the native addon', {
      index: context.index,
      cause: failure,
    })
  }
  if (failure.code === 'cancelled' && context.signal?.aborted) return context.signal.reason
  const ErrorClass = errorTable[failure.code].class
  // lib/load-failure.js composes messages of several lines about libraries; they contain nothing from media.
  const message = failure.code === 'library' ? failure.message : publicText(failure.message)
  return new ErrorClass(message, { index: context.index, details: failure.details })
}

/** Converts whatever was thrown into an error of this package. Unknown errors become InternalError. */
export function toCosmosEmbedError(failure: unknown): CosmosEmbedError {
  if (failure instanceof CosmosEmbedError) return failure
  if (isNativeFailure(failure)) return translateNativeFailure(failure) as CosmosEmbedError
  const { message = 'unexpected failure' } = (failure ?? {}) as Partial<Error>
  return new InternalError(message, { cause: failure })
}

function isNativeFailure(value: unknown): value is NativeFailure {
  if (typeof value !== 'object' || value === null) return false
  const { code, message } = value as Partial<NativeFailure>
  return typeof code === 'string' && Object.hasOwn(errorTable, code) && typeof message === 'string'
}

/** Removes addresses and control characters. Native messages should contain neither; this is a second safeguard. */
function publicText(message: string): string {
  return message
    .replace(/\b0x[0-9a-f]+\b/gi, '[address]')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 1000)
}
