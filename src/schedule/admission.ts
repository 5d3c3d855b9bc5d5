import { onAbort } from '../abort.ts'

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
  start(): void
}

/**
 * What may be in flight, over all callers. The rule is the same for one item and for sixty-four: a request is
 * admitted whole or not at all.
 */
export class Admission {
  readonly limits: Readonly<Cost>
  readonly #waiting = new Set<Waiter>()
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

  /** The lease, or nothing when there is no room now, or when others already wait for it. */
  tryAcquire(cost: Cost): Lease | undefined {
    return this.#waiting.size === 0 && this.#fits(cost) ? this.#admit(cost) : undefined
  }

  /** Waits its turn. The cost must be one that `couldFit`. Rejects with `signal.reason`. */
  acquire(cost: Cost, signal: AbortSignal): Promise<Lease> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const lease = this.tryAcquire(cost)
      if (lease) {
        resolve(lease)
        return
      }
      const waiter: Waiter = {
        cost,
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

  #fits({ items, bytes }: Cost): boolean {
    return this.#items + items <= this.limits.items && this.#bytes + bytes <= this.limits.bytes
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
    for (const waiter of this.#waiting) {
      if (!this.#fits(waiter.cost)) return
      this.#waiting.delete(waiter)
      waiter.start()
    }
  }
}
