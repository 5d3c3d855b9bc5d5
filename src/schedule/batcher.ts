/** Gathers items into batches for the engine. */
import { onAbort } from '../base/abort.ts'
import { batchOfFirst, type Padding } from './like-lengths.ts'
import { type Priority, PriorityQueue } from './priority-queue.ts'

/** An item of a batch. Items of one kind may share a batch. */
export interface Batchable {
  readonly kind: string
  /** What the item costs, in a unit of its kind. */
  readonly length: number
}

export interface BatcherOptions<T extends Batchable, R> {
  /** Processes a batch of one kind. Resolves to one result per item, in order. */
  run(batch: readonly T[], signal: AbortSignal): Promise<readonly R[]>
  /** Items per batch of each kind, ≥ 1. */
  maxBatch: Readonly<Record<T['kind'], number>>
  /** For kinds whose items are padded to the longest of their batch: batches are then formed of items of like length. */
  padding?: Readonly<Partial<Record<T['kind'], Padding>>>
  /** How long a batch that is not full waits for more items, in milliseconds from the arrival of its oldest one. */
  maxDelayMs: number
  /** Batches that the device works on at a time, ≥ 1. Default 1. */
  lanes?: number
  /** Kinds whose batches run alone: one begins when all lanes are free, and occupies all of them. */
  alone?: readonly T['kind'][]
}

export interface BatchResult<R> {
  result: R
  /** Milliseconds from submission to the start of the batch. */
  queueMs: number
  /** Milliseconds that the whole batch took. */
  runMs: number
}

interface Entry<T, R> {
  readonly item: T
  readonly priority: Priority
  readonly arrived: number
  /** The batch that holds the entry, once it runs. */
  batch?: Batch
  resolve(result: BatchResult<R>): void
  reject(reason: unknown): void
}

interface Batch {
  /** Items that were not cancelled. */
  wanted: number
  readonly abort: AbortController
}

/**
 * Gathers waiting items into batches for one device. A free lane takes the items that wait, up to the largest batch, so
 * batches grow with the load, and the next one gathers while the lanes are busy. With two lanes the device has its next batch
 * before the first ends.
 *
 * There are never more batches in flight than the device has lanes. A query could not overtake a batch that waits in the
 * device, no item could join it, and cancelling its items would no longer be free.
 *
 * A batch holds items of one kind and one priority, so that a query does not wait for bulk rows computed beside it.
 */
export class Batcher<T extends Batchable, R> {
  readonly #options: BatcherOptions<T, R>
  readonly #queue = new PriorityQueue<Entry<T, R>>()
  readonly #lanes: number
  readonly #running = new Set<readonly Entry<T, R>[]>()
  #turn: NodeJS.Immediate | undefined
  #delay: NodeJS.Timeout | undefined

  constructor(options: BatcherOptions<T, R>) {
    this.#options = options
    this.#lanes = options.lanes ?? 1
  }

  get waiting(): number {
    return this.#queue.size
  }

  get running(): number {
    let items = 0
    for (const batch of this.#running) items += batch.length
    return items
  }

  /**
   * Rejects with `signal.reason` immediately when aborted. An item cancelled while it waits costs nothing. In a running batch
   * only its result is dropped; the batch is cancelled with its last item.
   */
  submit(item: T, priority: Priority, signal: AbortSignal): Promise<BatchResult<R>> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const entry: Entry<T, R> = {
        item,
        priority,
        arrived: performance.now(),
        resolve: (result) => {
          forget()
          resolve(result)
        },
        reject: (reason) => {
          forget()
          reject(reason)
        },
      }
      const forget = onAbort(signal, () => {
        reject(signal.reason)
        if (!this.#queue.delete(entry) && entry.batch && --entry.batch.wanted === 0) {
          entry.batch.abort.abort(signal.reason)
        }
      })
      this.#queue.add(entry)
      this.#schedule()
    })
  }

  /** Starts a batch in the next turn of the event loop, so that everything submitted in this one can share it. */
  #schedule() {
    if (this.#isLaneFree() && this.#queue.size > 0) this.#turn ??= setImmediate(() => this.#next())
  }

  #isLaneFree(): boolean {
    const isOccupied = [...this.#running].some((batch) => this.#isAlone(batch))
    return this.#running.size < this.#lanes && !isOccupied
  }

  #next() {
    clearImmediate(this.#turn)
    clearTimeout(this.#delay)
    this.#turn = undefined
    // Nothing else begins before a batch that waits for all lanes, or it might wait for ever.
    let isDraining = false
    const batch = this.#queue.take((waiting, others) => {
      if (isDraining) return []
      const chosen = this.#choose(waiting, others)
      isDraining = this.#running.size > 0 && this.#isAlone(chosen)
      return isDraining ? [] : chosen
    })
    if (batch.length === 0) return
    // Set on the way to a batch of the other priority. Whoever still waits is looked at again when a lane is free.
    clearTimeout(this.#delay)
    void this.#run(batch)
    // Another lane may be free for the remaining items.
    this.#schedule()
  }

  /**
   * Chooses the items of the oldest item's kind once their batch is full or has waited long enough. Until then the engine does
   * not idle while there is other work: a full batch of another kind goes first. When the full batch is bulk and a query
   * waits, the query goes immediately instead.
   */
  #choose(waiting: ReadonlySet<Entry<T, R>>, others: ReadonlySet<Entry<T, R>>): readonly Entry<T, R>[] {
    const [oldest] = waiting
    if (!oldest) return []
    // Kinds in order of arrival: the first is the oldest item's.
    const kinds = byKind(waiting)
    const [alike = []] = kinds
    const wait = oldest.arrived + this.#options.maxDelayMs - performance.now()
    if (wait <= 0 || this.#isFull(alike)) return this.#batchOf(alike)
    const full = kinds.find((entries) => this.#isFull(entries))
    if (full) return this.#batchOf(full)
    if (oldest.priority === 'query' && byKind(others).some((entries) => this.#isFull(entries))) {
      return this.#batchOf(alike)
    }
    clearTimeout(this.#delay)
    // A batch of the other priority may have taken the lane meanwhile. Its end looks at the queue again.
    this.#delay = setTimeout(() => this.#isLaneFree() && this.#next(), wait)
    return []
  }

  /** Whether as much waits as a batch may hold. */
  #isFull(alike: readonly Entry<T, R>[]): boolean {
    if (alike.length >= this.#maxOf(alike)) return true
    const padding = this.#paddingOf(alike)
    return padding !== undefined && alike.reduce((sum, { item }) => sum + item.length, 0) >= padding.budget
  }

  #batchOf(alike: readonly Entry<T, R>[]): readonly Entry<T, R>[] {
    const maxItems = this.#maxOf(alike)
    const padding = this.#paddingOf(alike)
    if (!padding) return alike.slice(0, maxItems)
    return batchOfFirst(alike, ({ item }) => item.length, { ...padding, maxItems })
  }

  #isAlone([first]: readonly Entry<T, R>[]): boolean {
    return first !== undefined && (this.#options.alone?.includes(first.item.kind) ?? false)
  }

  #maxOf([first]: readonly Entry<T, R>[]): number {
    return first ? this.#options.maxBatch[first.item.kind as T['kind']] : 1
  }

  #paddingOf([first]: readonly Entry<T, R>[]): Padding | undefined {
    return first && this.#options.padding?.[first.item.kind as T['kind']]
  }

  async #run(entries: readonly Entry<T, R>[]) {
    this.#running.add(entries)
    const batch: Batch = { wanted: entries.length, abort: new AbortController() }
    for (const entry of entries) entry.batch = batch
    const started = performance.now()
    try {
      const items = entries.map((entry) => entry.item)
      const results = await this.#options.run(items, batch.abort.signal)
      if (results.length !== items.length) {
        throw new Error(`A batch of ${items.length} returned ${results.length} results. This is a bug.`)
      }
      const runMs = performance.now() - started
      results.forEach((result, i) => {
        const entry = entries[i] as Entry<T, R>
        entry.resolve({ result, queueMs: started - entry.arrived, runMs })
      })
    } catch (error) {
      for (const entry of entries) entry.reject(error)
    } finally {
      this.#running.delete(entries)
      this.#schedule()
    }
  }
}

function byKind<T extends Batchable, R>(entries: Iterable<Entry<T, R>>): Entry<T, R>[][] {
  const kinds = new Map<string, Entry<T, R>[]>()
  for (const entry of entries) {
    const alike = kinds.get(entry.item.kind)
    if (alike) alike.push(entry)
    else kinds.set(entry.item.kind, [entry])
  }
  return [...kinds.values()]
}
