/** From failures of the addon to the error classes of this package. */
import type { NativeFailure } from '#binding'
import { CosmosEmbedError, errorTable, InternalError } from '../errors.ts'

/**
 * What a rejected native job means to the caller: `signal.reason` when the caller's own abort cancelled it,
 * else an error class by the table. `index` is the item's position in the request.
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
  // Why a library did not load is told in lines, by lib/load-failure.js: no media can put words into it.
  const message = failure.code === 'library' ? failure.message : publicText(failure.message)
  return new ErrorClass(message, { index: context.index, details: failure.details })
}

/** Whatever was thrown inside this package, as an error of this package. */
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

/** Belt and braces: native messages hold no pointers or control characters, and none would get out if they did. */
function publicText(message: string): string {
  return message
    .replace(/\b0x[0-9a-f]+\b/gi, '[address]')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 1000)
}
