import { onAbort } from '../base/abort.ts'
import { firstIf, type Priority, PriorityQueue } from './priority-queue.ts'
import type { Release } from './priority-semaphore.ts'

export interface DecodeGateOptions {
  /** Videos that are decoded at one time. */
  decoders: number
  /** Clips that are being decoded or wait for the engine. Decoders that are faster than the engine stop here. */
  room: number
  /** As many more when the next one is a query: it waits for a decoder, but not for an engine that bulk keeps busy. */
  queryRoom: number
}

/** A video that may be decoded. */
export interface DecodePass {
  /** Gives the decoder back and keeps the room of the clip. Idempotent. */
  decoded(): void
  /** Gives back whatever is still held. Idempotent. */
  release: Release
}

interface Waiter {
  readonly priority: Priority
  start(): void
}

/**
 * Where videos wait until there are both a decoder for them and room for their clips. Both are taken at once: whoever
 * held the one while waiting for the other would keep queries from it.
 */
export class DecodeGate {
  readonly #options: DecodeGateOptions
  readonly #queue = new PriorityQueue<Waiter>()
  #running = 0
  #held = 0

  constructor(options: DecodeGateOptions) {
    this.#options = options
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** Rejects with `signal.reason`. */
  acquire(priority: Priority, signal: AbortSignal): Promise<DecodePass> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const waiter: Waiter = {
        priority,
        start: () => {
          forget()
          resolve(this.#admit())
        },
      }
      let forget = () => {}
      this.#queue.add(waiter)
      this.#startWaiting()
      if (this.#queue.has(waiter)) {
        forget = onAbort(signal, () => {
          this.#queue.delete(waiter)
          reject(signal.reason)
        })
      }
    })
  }

  #admit(): DecodePass {
    this.#running++
    this.#held++
    let [decoding, holding] = [true, true]
    const decoded = () => {
      if (!decoding) return
      decoding = false
      this.#running--
      this.#startWaiting()
    }
    const release = () => {
      if (!holding) return
      holding = false
      this.#held--
      if (decoding) decoded()
      else this.#startWaiting()
    }
    return { decoded, release }
  }

  #startWaiting() {
    const { decoders, room, queryRoom } = this.#options
    const hasRoom = ({ priority }: Waiter) => this.#held < room + (priority === 'query' ? queryRoom : 0)
    while (this.#running < decoders) {
      const [next] = this.#queue.take(firstIf(hasRoom))
      if (!next) return
      next.start()
    }
  }
}
