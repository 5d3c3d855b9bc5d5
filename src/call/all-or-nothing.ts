/** Runs the items of a call that either succeeds as a whole or rejects. */

import { addItemIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import type { Call } from './calls.ts'

/** Runs `step` for all inputs at once. The first failure cancels the others. Settles when all of them have ended. */
export async function allOrNothing<From, To>(
  call: Call,
  inputs: readonly From[],
  step: (input: From, index: number) => Promise<To>,
): Promise<To[]> {
  const outputs = inputs.map(async (input, index) => {
    try {
      return await step(input, index)
    } catch (failure) {
      if (!call.signal.aborted) call.fail(addItemIndex(toCosmosEmbedError(failure), index))
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  call.signal.throwIfAborted()
  return Promise.all(outputs)
}
