/** What calls with many items have in common. */
import { abortable } from './abort.ts'
import type { Call } from './calls.ts'
import { atItem, InvalidArgumentError } from './errors.ts'
import type { Progress, ProgressStage } from './types.ts'

/** The items, one by one; throws `signal.reason` as soon as the signal aborts, even while the source hangs. */
export async function* untilAborted<T>(
  items: Iterable<T> | AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  // A string is an iterable of its letters, and never meant as one.
  if (typeof items !== 'object' || !(Symbol.asyncIterator in items || Symbol.iterator in items)) {
    throw new InvalidArgumentError('items: must be an iterable of inputs, such as an array')
  }
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let ended = false
  try {
    for (;;) {
      const next = await abortable(Promise.resolve(iterator.next()), signal)
      if (next.done) {
        ended = true
        return
      }
      yield next.value
    }
  } finally {
    // Not awaited: where the source hangs, so does its `return`.
    if (!ended) void (async () => iterator.return?.())().catch(() => {})
  }
}

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
      call.fail(atItem(failure, index))
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  call.signal.throwIfAborted()
  return Promise.all(outputs)
}

export type Passed = (stage: ProgressStage) => void

export function reportProgress(
  onProgress: ((progress: Progress) => void) | undefined,
  total: () => number,
): (index: number) => Passed {
  const done = { download: 0, decode: 0, encode: 0 }
  return (index: number) => (stage: ProgressStage) => {
    done[stage]++
    onProgress?.({ stage, done: done[stage], total: total(), index })
  }
}
