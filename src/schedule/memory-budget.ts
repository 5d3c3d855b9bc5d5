/** Memory that work needs after it was admitted, such as for a download of unknown size. */
import { onAbort } from '../base/abort.ts'
import type { Priority } from './priority-queue.ts'

/** The bytes that one piece of work holds. */
export interface MemoryReservation {
  /**
   * Reserves `bytes` more. To be awaited before they are allocated. Rejects with `signal.reason`, and with an Error once the
   * reservation is released: nobody would give back what it reserved after that.
   */
  grow(bytes: number, signal: AbortSignal): Promise<void>
  /** Gives all bytes back. Idempotent. */
  release(): void
}

/** Counts the bytes that all work together holds. */
export interface MemoryCounter {
  /** Whether work of this priority may take so many more now. */
  fits(bytes: number, priority: Priority): boolean
  take(bytes: number): void
  /** Must also call {@link MemoryBudget.admitWaiting}. */
  give(bytes: number): void
}

interface Holder {
  readonly priority: Priority
  bytes: number
  /** The reservation that it waits for. */
  wanted: { bytes: number; start(): void; refuse(): void } | undefined
}

/**
 * Serves reservations of queries first, and those of one priority in order of arrival, with one exception: when everything
 * that holds bytes waits for more, the holder that was opened first gets its bytes although they do not fit, because otherwise
 * no work would ever finish. The budget is therefore exceeded by at most what one item may hold.
 */
export class MemoryBudget {
  readonly #counter: MemoryCounter
  /** In the order in which they were opened. */
  readonly #holders = new Set<Holder>()
  /** In the order of their requests. */
  readonly #waiting = new Set<Holder>()

  constructor(counter: MemoryCounter) {
    this.#counter = counter
  }

  /** Whether a reservation waits that comes before new work of this priority. */
  isAwaitedBefore(priority: Priority): boolean {
    return priority === 'bulk'
      ? this.#waiting.size > 0
      : [...this.#waiting].some((holder) => holder.priority === 'query')
  }

  open(priority: Priority): MemoryReservation {
    const holder: Holder = { priority, bytes: 0, wanted: undefined }
    this.#holders.add(holder)
    return {
      grow: (bytes, signal) => this.#grow(holder, bytes, signal),
      release: () => {
        if (!this.#holders.delete(holder)) return
        this.#waiting.delete(holder)
        holder.wanted?.refuse()
        this.#counter.give(holder.bytes)
      },
    }
  }

  /** Serves waiting reservations while there is room. To be called whenever bytes are given back. */
  admitWaiting(): void {
    const isQuery = ({ priority }: Holder) => priority === 'query'
    const inOrder = [...this.#waiting]
    for (const holder of [...inOrder.filter(isQuery), ...inOrder.filter((each) => !isQuery(each))]) {
      if (!this.#counter.fits(holder.wanted?.bytes ?? 0, holder.priority)) break
      this.#start(holder)
    }
    const stuck = [...this.#holders].filter(({ bytes }) => bytes > 0)
    if (this.#waiting.size === 0 || stuck.some(({ wanted }) => wanted === undefined)) return
    // When no holder has bytes, the first waiting one is served, so that it does not depend on other work for ever.
    const [first] = stuck.length > 0 ? stuck : this.#waiting
    if (first) this.#start(first)
  }

  #grow(holder: Holder, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const released = () => reject(new Error('the memory reservation was released'))
      if (!this.#holders.has(holder)) {
        released()
        return
      }
      holder.wanted = {
        bytes,
        start: () => {
          forget()
          resolve()
        },
        refuse: () => {
          forget()
          released()
        },
      }
      this.#waiting.add(holder)
      const forget = onAbort(signal, () => {
        holder.wanted = undefined
        this.#waiting.delete(holder)
        reject(signal.reason)
        // There may be room for the reservations behind it.
        this.#counter.give(0)
      })
      this.admitWaiting()
    })
  }

  #start(holder: Holder): void {
    const { wanted } = holder
    if (!wanted) return
    holder.wanted = undefined
    this.#waiting.delete(holder)
    holder.bytes += wanted.bytes
    this.#counter.take(wanted.bytes)
    wanted.start()
  }
}
