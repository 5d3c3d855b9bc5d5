import { abortable } from './abort.ts'
import { InvalidArgumentError } from './errors.ts'

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
