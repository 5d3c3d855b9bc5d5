/** Keeps the event loop responsive while much synchronous work is pending. */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Milliseconds of work per turn of the event loop. */
const SHARE_MS = 2

/** Spreads pieces of synchronous work over turns of the event loop: a piece waits once the turn's share is spent. */
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

/** The share of all long synchronous work in this process, because there is one event loop. */
export const loopShare: LoopShare = new LoopShare()
