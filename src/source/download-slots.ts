/** Limits concurrent downloads in total, and per host so that one slow host cannot occupy all slots. */
import { onAbort } from '../base/abort.ts'
import { MAX_OVERTAKES, type Priority } from '../schedule/priority-queue.ts'
import type { Reserve } from './bytes.ts'

export interface SlotRequest {
  /** Undefined for reads without a host, such as a caller's stream. */
  host?: string | undefined
  priority: Priority
  signal: AbortSignal
}

interface Waiter {
  readonly host: string | undefined
  readonly priority: Priority
  start(): void
}

export class DownloadSlots {
  readonly #total: number
  readonly #perHost: number
  readonly #running = new Map<string, number>()
  readonly #waiting = new Set<Waiter>()
  #count = 0
  #overtakes = 0

  constructor(total: number, perHost: number) {
    this.#total = total
    this.#perHost = perHost
  }

  get running(): number {
    return this.#count
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Resolves to a function that gives the slot back. Among the waiting requests whose hosts have room, queries come before
   * bulk work, at most MAX_OVERTAKES times in a row, and otherwise the oldest comes first. Rejects with `signal.reason`.
   */
  acquire({ host, priority, signal }: SlotRequest): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      if (this.#hasRoom(host)) {
        resolve(this.#occupy(host))
        return
      }
      const waiter: Waiter = {
        host,
        priority,
        start: () => {
          forget()
          resolve(this.#occupy(host))
        },
      }
      this.#waiting.add(waiter)
      const forget = onAbort(signal, () => {
        this.#waiting.delete(waiter)
        reject(signal.reason)
      })
    })
  }

  #hasRoom(host: string | undefined): boolean {
    return this.#count < this.#total && (host === undefined || (this.#running.get(host) ?? 0) < this.#perHost)
  }

  #occupy(host: string | undefined): () => void {
    this.#count++
    if (host !== undefined) this.#running.set(host, (this.#running.get(host) ?? 0) + 1)
    return () => {
      this.#count--
      if (host !== undefined) this.#leave(host)
      this.#startNext()
    }
  }

  #leave(host: string): void {
    const left = (this.#running.get(host) ?? 1) - 1
    if (left === 0) this.#running.delete(host)
    else this.#running.set(host, left)
  }

  #startNext(): void {
    const ready = [...this.#waiting].filter(({ host }) => this.#hasRoom(host))
    const [first] = ready
    const query = ready.find(({ priority }) => priority === 'query')
    const next = this.#overtakes < MAX_OVERTAKES ? (query ?? first) : first
    if (!next) return
    this.#overtakes = next === first ? 0 : this.#overtakes + 1
    this.#waiting.delete(next)
    next.start()
  }
}

/** How media is read: `ReadOptions` with defaults applied. */
export interface ResolvedReadOptions {
  signal: AbortSignal
  priority: Priority
  reserve: Reserve
  onSlotWait(milliseconds: number): void
}

/** Waits for a download slot. Resolves to a function that gives it back. */
export async function enterSlot(
  slots: DownloadSlots,
  { priority, signal, onSlotWait }: ResolvedReadOptions,
  host?: string,
): Promise<() => void> {
  const requested = performance.now()
  const release = await slots.acquire({ host, priority, signal })
  onSlotWait(performance.now() - requested)
  return release
}
