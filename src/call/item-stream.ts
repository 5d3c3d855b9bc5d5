/** Many items of one call: read as there is room, worked on together, handed out one by one. */
import { abortable, onAbort } from '../base/abort.ts'
import type { Call } from './calls.ts'
import { CancelledError, type CosmosEmbedError, InvalidArgumentError } from '../errors.ts'
import { atItem } from '../base/item-errors.ts'
import { ours } from '../base/native-failure.ts'
import { holdStreams } from '../source/given.ts'
import type { ItemInput, KeyOf } from '../types.ts'

/** How many items of one list are held together: enough for full batches, and room for other callers. */
export const DEFAULT_CONCURRENCY = 64

export interface StreamWay {
  /** Items that are held at one time, from the reading of one until its result is taken. */
  concurrency: number
  /** Results in the order of the items; else as they come. */
  ordered: boolean
}

/**
 * An item has a place from when it is read until its result is taken, and there are `concurrency` places. So a consumer
 * that takes its time slows the source down, and memory is the same whatever the length.
 *
 * `work` settles whatever happens; if it rejects, the call fails.
 */
export class ItemStream<I, R> implements Parts<R> {
  readonly #call: Pick<Call, 'signal' | 'fail'>
  readonly #items: Iterable<I> | AsyncIterable<I>
  readonly #work: (input: I, index: number) => Promise<R>
  readonly #way: StreamWay
  readonly #underWay = new Set<Promise<void>>()
  /** Results that wait to be taken, in the order in which they came. */
  readonly #ready = new Map<number, R>()
  readonly #arrival = new Bell()
  readonly #room = new Bell()
  #reading: Promise<void> | undefined
  #exhausted = false
  /** Items that have a place. */
  #held = 0
  #taken = 0

  constructor(
    call: Pick<Call, 'signal' | 'fail'>,
    items: Iterable<I> | AsyncIterable<I>,
    work: (input: I, index: number) => Promise<R>,
    way: StreamWay,
  ) {
    this.#call = call
    this.#items = items
    this.#work = work
    this.#way = way
  }

  /** To be called once. Leaving the loop stops what is under way. Rejects with the call's reason. */
  async *results(): AsyncGenerator<R, void, undefined> {
    const { signal } = this.#call
    signal.throwIfAborted()
    const forget = onAbort(signal, () => {
      this.#arrival.ring()
      this.#room.ring()
    })
    this.#reading = this.#readAll()
    let finished = false
    try {
      for (let next = await this.#next(); next; next = await this.#next()) yield next.result
      finished = true
    } finally {
      if (!finished) this.#call.fail(new CancelledError('the loop over the results was left'))
      await this.ended()
      forget()
    }
  }

  /** Resolves when nothing is read any more and no item is worked on. Until the call is aborted that may be never. */
  async ended(): Promise<void> {
    await this.#reading
    await Promise.all(this.#underWay)
  }

  async #readAll(): Promise<void> {
    const { signal } = this.#call
    let index = 0
    try {
      for await (const input of untilAborted(this.#items, signal)) {
        signal.throwIfAborted()
        this.#start(input, index++)
        await this.#untilRoom()
      }
    } catch (failure) {
      this.#call.fail(failure)
    }
    this.#exhausted = true
    this.#arrival.ring()
  }

  async #untilRoom(): Promise<void> {
    for (;;) {
      // Before each wait: the bell rings once for an abort.
      this.#call.signal.throwIfAborted()
      if (this.#held < this.#way.concurrency) return
      await this.#room.heard()
    }
  }

  #start(input: I, index: number): void {
    this.#held++
    const one = this.#work(input, index)
      .then(
        (result) => void this.#ready.set(index, result),
        (failure) => this.#call.fail(failure),
      )
      .finally(() => {
        this.#underWay.delete(one)
        this.#arrival.ring()
      })
    this.#underWay.add(one)
  }

  async #next(): Promise<{ result: R } | undefined> {
    for (;;) {
      this.#call.signal.throwIfAborted()
      const next = this.#take()
      if (next) return next
      if (this.#exhausted && this.#held === 0) return undefined
      await this.#arrival.heard()
    }
  }

  #take(): { result: R } | undefined {
    const index = this.#way.ordered ? this.#taken : this.#ready.keys().next().value
    if (index === undefined || !this.#ready.has(index)) return undefined
    const result = this.#ready.get(index) as R
    this.#ready.delete(index)
    this.#taken++
    this.#held--
    this.#room.ring()
    return { result }
  }
}

/** Whoever waits looks at its condition again when the bell rings. One waits at a time. */
class Bell {
  #ring = () => {}

  heard(): Promise<void> {
    return new Promise((resolve) => {
      this.#ring = resolve
    })
  }

  ring(): void {
    this.#ring()
  }
}

/** One item by itself: that it failed is a result like another. */
export async function settled<I extends ItemInput, R>(
  input: I,
  index: number,
  embed: () => Promise<R>,
): Promise<
  | { status: 'fulfilled'; index: number; key: KeyOf<I>; value: R }
  | { status: 'rejected'; index: number; key: KeyOf<I>; reason: CosmosEmbedError }
> {
  const release = holdStreams(input)
  const key = keyOf(input) as KeyOf<I>
  try {
    return { status: 'fulfilled', index, key, value: await embed() }
  } catch (failure) {
    return { status: 'rejected', index, key, reason: atItem(ours(failure), index) }
  } finally {
    release()
  }
}

/** Also of what is no item at all, which is refused later. */
export function keyOf(input: unknown): unknown {
  return (input as { key?: unknown } | null | undefined)?.key
}

/** What a call answers with in parts. */
export interface Parts<R> {
  /** To be called once. */
  results(): AsyncGenerator<R, void, undefined>
  /** Resolves when nothing of it runs or is held any more. May be called twice. */
  ended(): Promise<void>
}

/** The parts, as one call that ends when the loop over them does. */
export async function* handOut<R>(
  call: Pick<Call, 'signal' | 'rest' | 'resume' | 'end'>,
  stream: Parts<R>,
): AsyncGenerator<R, void, undefined> {
  const close = async (outcome?: { failure: unknown }) => {
    await stream.ended()
    call.end(outcome)
  }
  let resting = false
  // A consumer that rests inside its loop cannot run our `finally`: then the abort itself cleans up.
  const forget = onAbort(call.signal, () => {
    if (resting) void close({ failure: call.signal.reason })
  })
  let outcome: { failure: unknown } | undefined
  try {
    for await (const result of stream.results()) {
      try {
        resting = true
        call.rest()
        yield result
      } finally {
        resting = false
        call.resume()
      }
    }
  } catch (thrown) {
    const failure = call.signal.aborted && thrown === call.signal.reason ? thrown : ours(thrown)
    outcome = { failure }
    throw failure
  } finally {
    forget()
    await close(outcome)
  }
}

/** The items, one by one; throws `signal.reason` as soon as the signal aborts, even while the source hangs. */
async function* untilAborted<T>(
  items: Iterable<T> | AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  // A string is an iterable of its letters, and never meant as one.
  if (!isIterable(items)) {
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

function isIterable(items: unknown): boolean {
  return (
    typeof items === 'object' && items !== null && (Symbol.asyncIterator in items || Symbol.iterator in items)
  )
}
