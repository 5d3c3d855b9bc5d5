import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long one turn of the event loop may be kept busy, in milliseconds. */
const SHARE_MS = 2

/** Synchronous work in portions, so that many pieces of it at once do not keep others from the event loop. */
export class LoopShare {
  #spent = 0

  async run<T>(work: () => T): Promise<T> {
    while (this.#spent >= SHARE_MS) await nextTurn()
    const began = performance.now()
    try {
      return work()
    } finally {
      if (this.#spent === 0) setImmediate(() => (this.#spent = 0))
      this.#spent += performance.now() - began
    }
  }
}

/** Of everything in this process that works on the event loop for long: there is one loop. */
export const loopShare: LoopShare = new LoopShare()
