import { onAbort } from '../base/abort.ts'
import { type Priority, PriorityQueue } from './priority-queue.ts'

/** What is batched: items of one kind may share a batch; those of like length share one cheaply. */
export interface Batchable {
  readonly kind: string
  readonly length: number
}

export interface BatcherOptions<T extends Batchable, R> {
  /** Answers a batch of one kind, one result per item, in order. */
  run(batch: readonly T[], signal: AbortSignal): Promise<readonly R[]>
  /** ≥ 1. */
  maxBatch: Readonly<Record<T['kind'], number>>
  /** How long a batch that is not full waits for company, from the arrival of its oldest item. 0 = not at all. */
  maxDelayMs: number
  /** Batches that the device works on at a time, ≥ 1. Default 1. */
  lanes?: number
}

export interface Answer<R> {
  result: R
  /** From submission to the start of the batch. */
  queueMs: number
  /** The whole batch. */
  runMs: number
}

interface Entry<T, R> {
  readonly item: T
  readonly priority: Priority
  readonly arrived: number
  /** Of the batch, once it runs. */
  batch?: Batch
  resolve(answer: Answer<R>): void
  reject(reason: unknown): void
}

interface Batch {
  /** Items that somebody still waits for. */
  wanted: number
  readonly abort: AbortController
}

/**
 * Gathers what waits into batches for one device. When the device has a free lane it takes what is there, up to the
 * largest batch, so batches grow with the load by themselves.
 *
 * As many batches are in flight as the device has lanes, and no more: one that is handed over and has to wait could
 * no longer be overtaken by a query, joined by another item or dropped for free.
 *
 * A batch holds one kind and one priority: a query does not wait for rows of bulk work computed beside it.
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
   * Rejects with `signal.reason` at once when aborted. An item that is cancelled while it waits costs nothing; in a
   * running batch only its result is dropped, unless it was the last one wanted: then the batch is cancelled.
   */
  submit(item: T, priority: Priority, signal: AbortSignal): Promise<Answer<R>> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const entry: Entry<T, R> = {
        item,
        priority,
        arrived: performance.now(),
        resolve: (answer) => {
          forget()
          resolve(answer)
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

  /** Next turn of the event loop, so that everything submitted in this one can share the batch. */
  #schedule() {
    const isFree = this.#running.size < this.#lanes
    if (isFree && this.#queue.size > 0) this.#turn ??= setImmediate(() => this.#next())
  }

  #next() {
    clearImmediate(this.#turn)
    clearTimeout(this.#delay)
    this.#turn = undefined
    const batch = this.#queue.take((waiting, others) => this.#choose(waiting, others))
    if (batch.length === 0) return
    void this.#run(batch)
    // Another lane may be free for what is left.
    this.#schedule()
  }

  /**
   * The kind of the oldest, once its batch is full or has waited long enough. The engine never rests for a batch to
   * gather while there is other work: another full batch goes first, except before a query, which then goes at once.
   */
  #choose(waiting: ReadonlySet<Entry<T, R>>, others: ReadonlySet<Entry<T, R>>): readonly Entry<T, R>[] {
    const [oldest] = waiting
    if (!oldest) return []
    // In order of arrival: the first is the oldest's.
    const kinds = byKind(waiting)
    const [alike = []] = kinds
    const wait = oldest.arrived + this.#options.maxDelayMs - performance.now()
    if (wait <= 0 || this.#isFull(alike)) return this.#batchOf(alike)
    const full = kinds.find((entries) => this.#isFull(entries))
    if (full) return this.#batchOf(full)
    if (oldest.priority === 'query' && byKind(others).some((entries) => this.#isFull(entries))) return alike
    clearTimeout(this.#delay)
    this.#delay = setTimeout(() => this.#next(), wait)
    return []
  }

  #isFull(alike: readonly Entry<T, R>[]): boolean {
    return alike.length >= this.#maxOf(alike)
  }

  #batchOf(alike: Entry<T, R>[]): readonly Entry<T, R>[] {
    const max = this.#maxOf(alike)
    return alike.length >= max ? nearestInLength(alike, alike[0] as Entry<T, R>, max) : alike
  }

  #maxOf([first]: readonly Entry<T, R>[]): number {
    return first ? this.#options.maxBatch[first.item.kind as T['kind']] : 1
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
        throw new Error(
          `A batch of ${items.length} was answered with ${results.length} results. This is a bug.`,
        )
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

/**
 * The oldest and the `max - 1` entries whose lengths are nearest to its own, since a batch costs what its longest
 * row costs. The oldest is always among them, so nobody starves for being unusual.
 */
function nearestInLength<T extends Batchable, R>(
  entries: Entry<T, R>[],
  oldest: Entry<T, R>,
  max: number,
): Entry<T, R>[] {
  // The sort is stable: among equals the order of arrival stays.
  const sorted = entries.sort((a, b) => a.item.length - b.item.length)
  const at = sorted.indexOf(oldest)
  const length = (i: number) => (sorted[i] as Entry<T, R>).item.length
  const spread = (start: number) => length(start + max - 1) - length(start)
  let best = Math.max(0, at - max + 1)
  for (let start = best + 1; start <= Math.min(at, sorted.length - max); start++) {
    if (spread(start) < spread(best)) best = start
  }
  return sorted.slice(best, best + max)
}
