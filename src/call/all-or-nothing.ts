/** The items of a call that is all or nothing. */
import type { Call } from './calls.ts'
import { atItem } from '../base/item-errors.ts'
import { ours } from '../base/native-failure.ts'

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
      if (!call.signal.aborted) call.fail(atItem(ours(failure), index))
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  call.signal.throwIfAborted()
  return Promise.all(outputs)
}
