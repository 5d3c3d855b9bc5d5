import { onAbort } from '../base/abort.ts'
import { firstIf, type Priority, PriorityQueue } from './priority-queue.ts'

/** Idempotent. */
export type Release = () => void

interface Waiter {
  readonly priority: Priority
  start(): void
}

/** A stage that at most `capacity` items may be in. The others wait, `query` first. */
export class PrioritySemaphore {
  readonly #capacity: number
  readonly #queue = new PriorityQueue<Waiter>()
  #running = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** Runs `task` when it is the caller's turn. Rejects with `signal.reason` when aborted before that. */
  async run<T>(priority: Priority, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const release = await this.acquire(priority, signal)
    try {
      return await task()
    } finally {
      release()
    }
  }

  /** The same for a stay that does not end with a function. The caller must release. */
  acquire(priority: Priority, signal: AbortSignal): Promise<Release> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
      } else if (this.#running < this.#capacity) {
        // Nobody waits while a slot is free, so nobody is overtaken here.
        resolve(this.#occupy())
      } else {
        const waiter: Waiter = {
          priority,
          start: () => {
            forget()
            resolve(this.#occupy())
          },
        }
        const forget = onAbort(signal, () => {
          this.#queue.delete(waiter)
          reject(signal.reason)
        })
        this.#queue.add(waiter)
      }
    })
  }

  #occupy(): Release {
    this.#running++
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#running--
      for (const waiter of this.#queue.take(firstIf(() => true))) waiter.start()
    }
  }
}
