/** Limits what is in flight, over all calls. */
import { MemoryBudget, type MemoryReservation } from './memory-budget.ts'
import type { Priority } from './priority-queue.ts'
import { WaitQueue } from './wait-queue.ts'

export interface Cost {
  items: number
  /** Bytes of media held in memory. */
  bytes: number
}

/** Admitted work. Its cost counts as in flight until it is released. */
export interface Lease {
  /** For bytes whose number is not known at admission, such as those of a download. Ends with the lease at the latest. */
  openMemory(): MemoryReservation
  /** Idempotent. */
  release(): void
}

interface Request {
  readonly cost: Cost
  readonly priority: Priority
}

/** One part in this many of what may be in flight is reserved for queries. */
const RESERVED = 8

/** Admits requests of any number of items, each as a whole or not at all. */
export class Admission {
  readonly limits: Readonly<Cost>
  readonly #queue = new WaitQueue<Request>(({ cost, priority }) => this.#fits(cost, priority))
  readonly #memory = new MemoryBudget({
    fits: (bytes, priority) => this.#bytes + bytes <= this.#shareOf(this.limits.bytes, priority),
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
    return this.#queue.size
  }

  /** Whether `cost` could be admitted if nothing else were in flight. */
  couldFit({ items, bytes }: Cost): boolean {
    return items <= this.limits.items && bytes <= this.limits.bytes
  }

  /** Returns undefined when there is no room now, or when earlier requests wait. */
  tryAcquire(cost: Cost, priority: Priority): Lease | undefined {
    const ahead = priority === 'query' ? this.#queue.count('query') : this.#queue.size
    return ahead === 0 && this.#fits(cost, priority) ? this.#admit(cost, priority) : undefined
  }

  /** Waits for room. `couldFit` must hold for the cost. Rejects with `signal.reason`. */
  async acquire(cost: Cost, priority: Priority, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    return (
      this.tryAcquire(cost, priority) ??
      this.#queue.wait({ cost, priority }, signal, () => this.#admit(cost, priority))
    )
  }

  #fits({ items, bytes }: Cost, priority: Priority): boolean {
    const { limits } = this
    // With nothing in flight, bulk may use everything: a request larger than bulk's share could otherwise never start.
    const shared = this.#items === 0 ? 'query' : priority
    if (this.#items + items > this.#shareOf(limits.items, shared)) return false
    if (bytes === 0) return true
    // Admitted work that waits for memory comes before new work that needs some.
    return (
      !this.#memory.isAwaitedBefore(priority) && this.#bytes + bytes <= this.#shareOf(limits.bytes, shared)
    )
  }

  #shareOf(limit: number, priority: Priority): number {
    return priority === 'query' ? limit : limit - Math.floor(limit / RESERVED)
  }

  #admit({ items, bytes }: Cost, priority: Priority): Lease {
    this.#items += items
    this.#bytes += bytes
    const reservations: MemoryReservation[] = []
    let held = true
    return {
      openMemory: () => {
        const reservation = this.#memory.open(priority)
        if (held) reservations.push(reservation)
        else reservation.release()
        return reservation
      },
      release: () => {
        if (!held) return
        held = false
        for (const reservation of reservations) reservation.release()
        this.#give({ items, bytes })
      },
    }
  }

  #give({ items, bytes }: Cost) {
    this.#items -= items
    this.#bytes -= bytes
    this.#memory.admitWaiting()
    this.#queue.admitWaiting()
  }
}
