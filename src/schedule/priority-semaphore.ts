/** A counting semaphore whose waiters are served by priority. */
import type { Priority } from './priority-queue.ts'
import { WaitQueue } from './wait-queue.ts'

/** Gives back what was acquired. Idempotent. */
export type Release = () => void

export class PrioritySemaphore {
  readonly #queue: WaitQueue<{ priority: Priority }>
  #running = 0

  /** At most `capacity` callers hold the semaphore at a time. */
  constructor(capacity: number) {
    this.#queue = new WaitQueue(() => this.#running < capacity)
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** Runs `task` while holding the semaphore. Rejects with `signal.reason` if aborted before the task starts. */
  async run<T>(priority: Priority, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const release = await this.acquire(priority, signal)
    try {
      return await task()
    } finally {
      release()
    }
  }

  /** Acquires the semaphore until the returned function is called. Rejects with `signal.reason`. */
  acquire(priority: Priority, signal: AbortSignal): Promise<Release> {
    return this.#queue.wait({ priority }, signal, () => this.#hold())
  }

  #hold(): Release {
    this.#running++
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#running--
      this.#queue.admitWaiting()
    }
  }
}
