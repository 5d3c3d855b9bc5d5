/** The items of a call that is all or nothing. */

import { addItemIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import type { Call } from './calls.ts'

/** The first failure stops the others. Settles when none of them runs any more. */
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
