import { onAbort } from '../abort.ts'
import { firstIf, type Priority, PriorityQueue } from './priority-queue.ts'

export interface Cost {
  items: number
  /** Of media held in memory. */
  bytes: number
}

/** Admitted work. Its cost counts until it is released. */
export interface Lease {
  /** Bytes that were not known at the door, such as a download. They count from now on but are not refused. */
  charge(bytes: number): void
  /** Idempotent. */
  release(): void
}

interface Waiter {
  readonly cost: Cost
  readonly priority: Priority
  start(): void
}

/** One part in so many of what may be in flight is kept free for queries, however much bulk work there is. */
const RESERVED = 8

/**
 * What may be in flight, over all callers. The rule is the same for one item and for sixty-four: a request is
 * admitted whole or not at all.
 */
export class Admission {
  readonly limits: Readonly<Cost>
  readonly #waiting = new PriorityQueue<Waiter>()
  #items = 0
  #bytes = 0

  constructor(limits: Cost) {
    this.limits = limits
  }

  get items(): number {
    return this.#items
  }

  get bytes(): number {
    return this.#bytes
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Whether `cost` could be admitted if nothing else were in flight. */
  couldFit({ items, bytes }: Cost): boolean {
    return items <= this.limits.items && bytes <= this.limits.bytes
  }

  /** The lease, or nothing when there is no room now, or when others wait for it whose turn comes before. */
  tryAcquire(cost: Cost, priority: Priority): Lease | undefined {
    const before = priority === 'query' ? this.#waiting.count('query') : this.#waiting.size
    return before === 0 && this.#fits(cost, priority) ? this.#admit(cost) : undefined
  }

  /** Waits its turn. The cost must be one that `couldFit`. Rejects with `signal.reason`. */
  acquire(cost: Cost, priority: Priority, signal: AbortSignal): Promise<Lease> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const lease = this.tryAcquire(cost, priority)
      if (lease) {
        resolve(lease)
        return
      }
      const waiter: Waiter = {
        cost,
        priority,
        start: () => {
          forget()
          resolve(this.#admit(cost))
        },
      }
      const forget = onAbort(signal, () => {
        this.#waiting.delete(waiter)
        reject(signal.reason)
        // A large one at the head may have been what held the others up.
        this.#startWaiting()
      })
      this.#waiting.add(waiter)
    })
  }

  #fits({ items, bytes }: Cost, priority: Priority): boolean {
    const allItems = this.#items + items
    const allBytes = this.#bytes + bytes
    if (!this.couldFit({ items: allItems, bytes: allBytes })) return false
    // A bulk request that is larger than bulk's share goes alone.
    if (priority === 'query' || this.#items === 0) return true
    const { limits } = this
    const share = (limit: number) => limit - Math.floor(limit / RESERVED)
    return allItems <= share(limits.items) && allBytes <= share(limits.bytes)
  }

  #admit({ items, bytes }: Cost): Lease {
    let held = true
    let heldBytes = bytes
    this.#items += items
    this.#bytes += bytes
    return {
      charge: (more) => {
        if (!held) return
        heldBytes += more
        this.#bytes += more
      },
      release: () => {
        if (!held) return
        held = false
        this.#items -= items
        this.#bytes -= heldBytes
        this.#startWaiting()
      },
    }
  }

  #startWaiting() {
    for (;;) {
      const [next] = this.#waiting.take(firstIf(({ cost, priority }) => this.#fits(cost, priority)))
      if (!next) return
      next.start()
    }
  }
}
