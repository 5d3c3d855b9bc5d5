/** Many items of one call. */
import { abortable } from './abort.ts'
import type { Call } from './calls.ts'
import { atItem, InvalidArgumentError } from './errors.ts'
import { ours } from './native-failure.ts'
import { holdStreams } from './source/given.ts'
import type { ItemInput, Settled } from './types.ts'

/** How many of one list are under way together: enough for full batches, and room for other callers. */
const MANY_IN_FLIGHT = 64

/** Every item by itself, in order: one that fails is no matter of the others. Rejects with the call's reason. */
export async function settleAll<I extends ItemInput>(
  call: Call,
  items: Iterable<I> | AsyncIterable<I>,
  embed: (input: I, index: number) => Promise<Extract<Settled, { status: 'fulfilled' }>['value']>,
): Promise<Settled[]> {
  const results: Settled[] = []
  const underWay = new Set<Promise<void>>()
  const settle = async (input: I, index: number) => {
    const release = holdStreams(input)
    const key = (input as { key?: undefined } | null)?.key
    try {
      results[index] = { status: 'fulfilled', key, value: await embed(input, index) }
    } catch (failure) {
      results[index] = { status: 'rejected', key, reason: atItem(ours(failure), index) }
    } finally {
      release()
    }
  }
  try {
    let read = 0
    for await (const input of untilAborted(items, call.signal)) {
      const one = settle(input, read++).finally(() => underWay.delete(one))
      underWay.add(one)
      if (underWay.size >= MANY_IN_FLIGHT) await Promise.race(underWay)
    }
  } catch (failure) {
    call.fail(failure)
  }
  await Promise.all(underWay)
  call.signal.throwIfAborted()
  return results
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
      if (!call.signal.aborted) call.fail(atItem(ours(failure), index))
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  call.signal.throwIfAborted()
  return Promise.all(outputs)
}

/** The items, one by one; throws `signal.reason` as soon as the signal aborts, even while the source hangs. */
async function* untilAborted<T>(
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
