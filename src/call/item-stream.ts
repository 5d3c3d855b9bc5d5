/** Reads the items of a call as there is room, processes them concurrently and yields their results. */
import { abortable, onAbort } from '../base/abort.ts'
import { addItemIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { CancelledError, type CosmosEmbedError, InvalidArgumentError } from '../errors.ts'
import { adoptStreams } from '../source/input-streams.ts'
import type { ItemInput, KeyOf } from '../types.ts'
import type { Call } from './calls.ts'

/** Default number of items held at one time: enough for full batches, while leaving room for other callers. */
export const DEFAULT_CONCURRENCY = 64

export interface ItemStreamOptions {
  /** Items held at one time, each from when it is read until its result is taken. */
  concurrency: number
  /** Whether results come in the order of the items; otherwise as soon as they are ready. */
  ordered: boolean
}

/**
 * Each item occupies one of `concurrency` places from when it is read until its result is taken. A slow consumer therefore
 * slows the source down, and memory use does not depend on the length of the list.
 *
 * `work` must always settle; if it rejects, the call fails.
 */
export class ItemStream<I, R> implements ResultStream<R> {
  readonly #call: Pick<Call, 'signal' | 'fail'>
  readonly #items: Iterable<I> | AsyncIterable<I>
  readonly #work: (input: I, index: number) => Promise<R>
  readonly #options: ItemStreamOptions
  readonly #inProgress = new Set<Promise<void>>()
  /** Results that were not taken yet, by index, in the order in which they became ready. */
  readonly #ready = new Map<number, R>()
  readonly #resultReady = new Condition()
  readonly #placeFree = new Condition()
  #reading: Promise<void> | undefined
  #exhausted = false
  #occupied = 0
  #taken = 0

  constructor(
    call: Pick<Call, 'signal' | 'fail'>,
    items: Iterable<I> | AsyncIterable<I>,
    work: (input: I, index: number) => Promise<R>,
    options: ItemStreamOptions,
  ) {
    this.#call = call
    this.#items = items
    this.#work = work
    this.#options = options
  }

  /** May be called once. Leaving the loop cancels the items in progress. Rejects with the reason of the call's signal. */
  async *results(): AsyncGenerator<R, void, undefined> {
    const { signal } = this.#call
    signal.throwIfAborted()
    const forget = onAbort(signal, () => {
      this.#resultReady.notify()
      this.#placeFree.notify()
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

  /** Resolves when reading and all items have ended, which may never happen unless the call is aborted. */
  async ended(): Promise<void> {
    await this.#reading
    await Promise.all(this.#inProgress)
  }

  async #readAll(): Promise<void> {
    const { signal } = this.#call
    let index = 0
    try {
      for await (const input of untilAborted(this.#items, signal)) {
        signal.throwIfAborted()
        this.#start(input, index++)
        await this.#untilPlaceFree()
      }
    } catch (failure) {
      this.#call.fail(failure)
    }
    this.#exhausted = true
    this.#resultReady.notify()
  }

  async #untilPlaceFree(): Promise<void> {
    for (;;) {
      // Before each wait, because an abort notifies only once.
      this.#call.signal.throwIfAborted()
      if (this.#occupied < this.#options.concurrency) return
      await this.#placeFree.wait()
    }
  }

  #start(input: I, index: number): void {
    this.#occupied++
    const one = this.#work(input, index)
      .then(
        (result) => void this.#ready.set(index, result),
        (failure) => this.#call.fail(failure),
      )
      .finally(() => {
        this.#inProgress.delete(one)
        this.#resultReady.notify()
      })
    this.#inProgress.add(one)
  }

  async #next(): Promise<{ result: R } | undefined> {
    for (;;) {
      this.#call.signal.throwIfAborted()
      const next = this.#take()
      if (next) return next
      if (this.#exhausted && this.#occupied === 0) return undefined
      await this.#resultReady.wait()
    }
  }

  #take(): { result: R } | undefined {
    const index = this.#options.ordered ? this.#taken : this.#ready.keys().next().value
    if (index === undefined || !this.#ready.has(index)) return undefined
    const result = this.#ready.get(index) as R
    this.#ready.delete(index)
    this.#taken++
    this.#occupied--
    this.#placeFree.notify()
    return { result }
  }
}

/** A condition variable for one waiter, which checks its condition again after each notification. */
class Condition {
  #notify = () => {}

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#notify = resolve
    })
  }

  notify(): void {
    this.#notify()
  }
}

/** Runs `embed` for one item and reports a failure as a result. Streams among the input are closed afterwards. */
export async function settleItem<I extends ItemInput, R>(
  input: I,
  index: number,
  embed: () => Promise<R>,
): Promise<
  | { status: 'fulfilled'; index: number; key: KeyOf<I>; value: R }
  | { status: 'rejected'; index: number; key: KeyOf<I>; reason: CosmosEmbedError }
> {
  const release = adoptStreams(input)
  const key = keyOf(input) as KeyOf<I>
  try {
    return { status: 'fulfilled', index, key, value: await embed() }
  } catch (failure) {
    return { status: 'rejected', index, key, reason: addItemIndex(toCosmosEmbedError(failure), index) }
  } finally {
    release()
  }
}

/** The key of an item. Accepts any value, because validation comes later. */
export function keyOf(input: unknown): unknown {
  return (input as { key?: unknown } | null | undefined)?.key
}

/** A call's results that become available one after the other. */
export interface ResultStream<R> {
  /** May be called once. */
  results(): AsyncGenerator<R, void, undefined>
  /** Resolves when all work has ended and all resources are released. May be called repeatedly. */
  ended(): Promise<void>
}

/** Yields the results of `stream`. The call ends when the loop over them does. */
export async function* streamResults<R>(
  call: Pick<Call, 'signal' | 'pause' | 'resume' | 'end'>,
  stream: ResultStream<R>,
): AsyncGenerator<R, void, undefined> {
  const close = async (outcome?: { failure: unknown }) => {
    await stream.ended()
    call.end(outcome)
  }
  let paused = false
  // While the consumer is inside its loop, the `finally` below cannot run, so an abort cleans up here.
  const forget = onAbort(call.signal, () => {
    if (paused) void close({ failure: call.signal.reason })
  })
  let outcome: { failure: unknown } | undefined
  try {
    for await (const result of stream.results()) {
      try {
        paused = true
        call.pause()
        yield result
      } finally {
        paused = false
        call.resume()
      }
    }
  } catch (thrown) {
    const failure = call.signal.aborted && thrown === call.signal.reason ? thrown : toCosmosEmbedError(thrown)
    outcome = { failure }
    throw failure
  } finally {
    forget()
    await close(outcome)
  }
}

/** Yields the items and throws `signal.reason` as soon as the signal aborts, even while the source is pending. */
async function* untilAborted<T>(
  items: Iterable<T> | AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  // A string is refused although it iterates over its characters.
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
    // Not awaited, because `return` of a source that hangs would hang, too.
    if (!ended) void (async () => iterator.return?.())().catch(() => {})
  }
}

function isIterable(items: unknown): boolean {
  return (
    typeof items === 'object' && items !== null && (Symbol.asyncIterator in items || Symbol.iterator in items)
  )
}
