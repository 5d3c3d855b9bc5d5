/** Caps on concurrent downloads: in total, and per host so that one slow host cannot take them all. */
import { onAbort } from '../abort.ts'

interface Waiter {
  readonly host: string
  start(): void
}

export class DownloadSlots {
  readonly #total: number
  readonly #perHost: number
  readonly #running = new Map<string, number>()
  readonly #waiting = new Set<Waiter>()
  #count = 0

  constructor(total: number, perHost: number) {
    this.#total = total
    this.#perHost = perHost
  }

  /** Resolves to the function that gives the slot back. First come, first served among hosts with room. */
  acquire(host: string, signal?: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (this.#hasRoom(host)) {
        resolve(this.#occupy(host))
        return
      }
      let forget = () => {}
      const waiter: Waiter = {
        host,
        start: () => {
          forget()
          resolve(this.#occupy(host))
        },
      }
      this.#waiting.add(waiter)
      if (!signal) return
      forget = onAbort(signal, () => {
        this.#waiting.delete(waiter)
        reject(signal.reason)
      })
    })
  }

  #hasRoom(host: string): boolean {
    return this.#count < this.#total && (this.#running.get(host) ?? 0) < this.#perHost
  }

  #occupy(host: string): () => void {
    this.#count++
    this.#running.set(host, (this.#running.get(host) ?? 0) + 1)
    return () => {
      this.#count--
      const left = (this.#running.get(host) ?? 1) - 1
      if (left === 0) this.#running.delete(host)
      else this.#running.set(host, left)
      this.#startNext()
    }
  }

  #startNext(): void {
    for (const waiter of this.#waiting) {
      if (!this.#hasRoom(waiter.host)) continue
      this.#waiting.delete(waiter)
      waiter.start()
      return
    }
  }
}
