/** Limits how many videos are decoded at a time and how many decoded clips wait for the engine. */
import type { Priority } from './priority-queue.ts'
import type { Release } from './priority-semaphore.ts'
import { WaitQueue } from './wait-queue.ts'

export interface DecodeGateOptions {
  /** Videos decoded at one time. */
  decoders: number
  /** Clips that are being decoded or wait for the engine. It stops decoders that are faster than the engine. */
  room: number
  /** Additional room for queries: they wait for a decoder, but not behind bulk clips that wait for the engine. */
  queryRoom: number
}

/** Permission to decode a video. It holds a decoder and room for the clip. */
export interface DecodePass {
  /** Gives the decoder back and keeps the room of the clip. Idempotent. */
  decoded(): void
  /** Gives back whatever is still held. Idempotent. */
  release: Release
}

/**
 * Admits a video once there are both a decoder and room for its clip. Both are taken together, because a bulk video that
 * held one while waiting for the other would block queries.
 */
export class DecodeGate {
  readonly #queue: WaitQueue<{ priority: Priority }>
  #running = 0
  #held = 0

  constructor({ decoders, room, queryRoom }: DecodeGateOptions) {
    this.#queue = new WaitQueue(
      ({ priority }) =>
        this.#running < decoders && this.#held < room + (priority === 'query' ? queryRoom : 0),
    )
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** Rejects with `signal.reason`. */
  acquire(priority: Priority, signal: AbortSignal): Promise<DecodePass> {
    return this.#queue.wait({ priority }, signal, () => this.#admit())
  }

  #admit(): DecodePass {
    this.#running++
    this.#held++
    let [decoding, holding] = [true, true]
    const decoded = () => {
      if (!decoding) return
      decoding = false
      this.#running--
      this.#queue.admitWaiting()
    }
    const release = () => {
      if (!holding) return
      holding = false
      this.#held--
      if (decoding) decoded()
      else this.#queue.admitWaiting()
    }
    return { decoded, release }
  }
}
