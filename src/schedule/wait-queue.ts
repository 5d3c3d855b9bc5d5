/** The queue behind every limit on concurrency: callers wait by priority and arrival until there is room for them. */
import { onAbort } from '../base/abort.ts'
import { firstIf, type Priority, PriorityQueue } from './priority-queue.ts'

interface Waiter<Request> {
  readonly priority: Priority
  readonly request: Request
  admit(): void
}

export class WaitQueue<Request extends { readonly priority: Priority }> {
  readonly #queue = new PriorityQueue<Waiter<Request>>()
  readonly #hasRoom: (request: Request) => boolean

  constructor(hasRoom: (request: Request) => boolean) {
    this.#hasRoom = hasRoom
  }

  get size(): number {
    return this.#queue.size
  }

  count(priority: Priority): number {
    return this.#queue.count(priority)
  }

  /**
   * Resolves to what `admit` returns, which is called as soon as the request's turn has come and there is room for it.
   * Rejects with `signal.reason`.
   */
  wait<T>(request: Request, signal: AbortSignal, admit: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      let forget = () => {}
      const waiter: Waiter<Request> = {
        priority: request.priority,
        request,
        admit: () => {
          forget()
          resolve(admit())
        },
      }
      this.#queue.add(waiter)
      this.admitWaiting()
      if (!this.#queue.has(waiter)) return
      forget = onAbort(signal, () => {
        this.#queue.delete(waiter)
        reject(signal.reason)
        // There may be room for the requests behind it.
        this.admitWaiting()
      })
    })
  }

  /** Admits waiting requests while there is room. To be called whenever room becomes free. */
  admitWaiting(): void {
    for (;;) {
      const [next] = this.#queue.take(firstIf(({ request }) => this.#hasRoom(request)))
      if (!next) return
      next.admit()
    }
  }
}
