import { onAbort } from '../base/abort.ts'

/** Bytes that admitted work turns out to need, such as those of a download: nobody knows them at the door. */
export interface Memory {
  /** Resolves when there is room for so many more bytes: to be called before they are allocated. Rejects with `signal.reason`. */
  grow(bytes: number, signal: AbortSignal): Promise<void>
  /** Gives all of them back. Idempotent. */
  release(): void
}

/** The bytes that all work together may hold. */
export interface Room {
  fits(bytes: number): boolean
  take(bytes: number): void
  /** Also starts whoever waits for room: see {@link MemoryRoom.startWaiting}. */
  give(bytes: number): void
}

interface Holder {
  bytes: number
  /** What it asks for. */
  wanted: { bytes: number; start(): void } | undefined
}

/**
 * Who may grow. First come, first served, with one exception: when everything that holds bytes waits for more, the one
 * that was opened first gets what it asks for although it does not fit, or nobody would ever finish. So the room may be
 * passed by what one item is allowed to hold, and by no more.
 */
export class MemoryRoom {
  readonly #room: Room
  /** In the order in which they were opened. */
  readonly #holders = new Set<Holder>()
  /** In the order in which they asked. */
  readonly #waiting = new Set<Holder>()

  constructor(room: Room) {
    this.#room = room
  }

  get waiting(): number {
    return this.#waiting.size
  }

  open(): Memory {
    const holder: Holder = { bytes: 0, wanted: undefined }
    this.#holders.add(holder)
    return {
      grow: (bytes, signal) => this.#grow(holder, bytes, signal),
      release: () => {
        if (!this.#holders.delete(holder)) return
        this.#waiting.delete(holder)
        this.#room.give(holder.bytes)
      },
    }
  }

  /** To be called whenever bytes are given back, here or elsewhere. */
  startWaiting(): void {
    for (const holder of this.#waiting) {
      if (!this.#room.fits(holder.wanted?.bytes ?? 0)) break
      this.#start(holder)
    }
    const stuck = [...this.#holders].filter(({ bytes }) => bytes > 0)
    if (this.#waiting.size === 0 || stuck.some(({ wanted }) => wanted === undefined)) return
    // Where nobody holds anything, whoever asked first is not to wait for the end of something else for ever.
    const [first] = stuck.length > 0 ? stuck : this.#waiting
    if (first) this.#start(first)
  }

  #grow(holder: Holder, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const start = () => {
        forget()
        resolve()
      }
      holder.wanted = { bytes, start }
      this.#waiting.add(holder)
      const forget = onAbort(signal, () => {
        holder.wanted = undefined
        this.#waiting.delete(holder)
        reject(signal.reason)
        // It may have been what held the others up.
        this.#room.give(0)
      })
      this.startWaiting()
    })
  }

  #start(holder: Holder): void {
    const { wanted } = holder
    if (!wanted) return
    holder.wanted = undefined
    this.#waiting.delete(holder)
    holder.bytes += wanted.bytes
    this.#room.take(wanted.bytes)
    wanted.start()
  }
}
