import { onAbort } from '../base/abort.ts'
import { type Memory, MemoryRoom } from './memory-budget.ts'
import { firstIf, type Priority, PriorityQueue } from './priority-queue.ts'

export interface Cost {
  items: number
  /** Of media held in memory. */
  bytes: number
}

/** Admitted work. Its cost counts until it is released. */
export interface Lease {
  /** For bytes that are not known at the door, such as a download. It ends with the lease, if not before. */
  openMemory(): Memory
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
  readonly #memory = new MemoryRoom({
    fits: (bytes) => this.#bytes + bytes <= this.limits.bytes,
    take: (bytes) => {
      this.#bytes += bytes
    },
    give: (bytes) => this.#give({ items: 0, bytes }),
  })
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
    const { limits } = this
    // A bulk request that is larger than bulk's share goes alone.
    const isFree = priority === 'query' || this.#items === 0
    const share = (limit: number) => (isFree ? limit : limit - Math.floor(limit / RESERVED))
    if (this.#items + items > share(limits.items)) return false
    // What is admitted already and waits for room comes before what is not.
    return bytes === 0 || (this.#memory.waiting === 0 && this.#bytes + bytes <= share(limits.bytes))
  }

  #admit({ items, bytes }: Cost): Lease {
    this.#items += items
    this.#bytes += bytes
    const opened: Memory[] = []
    let held = true
    return {
      openMemory: () => {
        const memory = this.#memory.open()
        opened.push(memory)
        return memory
      },
      release: () => {
        if (!held) return
        held = false
        for (const memory of opened) memory.release()
        this.#give({ items, bytes })
      },
    }
  }

  #give({ items, bytes }: Cost) {
    this.#items -= items
    this.#bytes -= bytes
    this.#memory.startWaiting()
    this.#startWaiting()
  }

  #startWaiting() {
    for (;;) {
      const [next] = this.#waiting.take(firstIf(({ cost, priority }) => this.#fits(cost, priority)))
      if (!next) return
      next.start()
    }
  }
}
