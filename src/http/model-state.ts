/** The embedder that the routes use: loading, warming up, ready, failed or closing. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ClosedError,
  DeviceLostError,
  InvalidArgumentError,
  NotReadyError,
  OverloadedError,
} from '../errors.ts'
import type { Embedder, EmbedderInfo, EmbedderStatus } from '../types.ts'
import { ServerClosingError } from './errors.ts'

export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

type State =
  | { phase: 'loading' | 'failed' | 'closing'; reason: string }
  | { phase: 'warming' | 'ready'; embedder: Embedder }

/** What clients are told. The details of the status are for the log. */
const reasons: Readonly<Record<Exclude<EmbedderStatus, { ready: true }>['code'], string>> = {
  device_lost: 'the device was lost: restart the server',
  closed: 'the embedder is closed',
}

export class ModelState {
  #state: State = { phase: 'loading', reason: 'the model is loading' }
  #info: EmbedderInfo | undefined

  /** Resolves when the model is loaded and warmed up. Rejects with what made that fail. */
  readonly ready: Promise<void>

  /** `onLoaded` runs once, when the model is loaded and before it is warmed up. */
  constructor(embedder: Embedder | Promise<Embedder>, log: Log, onLoaded: (embedder: Embedder) => void) {
    this.ready = this.#load(embedder, onLoaded)
    this.ready.catch((error: unknown) => {
      if (this.#state.phase === 'closing') return
      this.#state = {
        phase: 'failed',
        reason: 'the model could not be loaded; the log of the server says why',
      }
      log.error({ err: error }, 'the model could not be loaded')
    })
  }

  /** Undefined while the model is ready. */
  get notReadyReason(): string | undefined {
    const state = this.#state
    if (!('embedder' in state)) return state.reason
    const status = state.embedder.status()
    if (!status.ready) return reasons[status.code]
    return state.phase === 'ready' ? undefined : 'the model is warming up'
  }

  /**
   * The embedder, once it is loaded: requests that come during the warm-up are answered, only more slowly. Throws
   * NotReadyError, ClosedError or DeviceLostError.
   */
  get embedder(): Embedder {
    const state = this.#state
    if (state.phase === 'closing') throw new ServerClosingError()
    if (!('embedder' in state)) throw new NotReadyError(state.reason)
    const status = state.embedder.status()
    if (status.ready) return state.embedder
    // Neither state ends in this process, and NotReadyError would tell clients to try again.
    const StatusError = status.code === 'closed' ? ClosedError : DeviceLostError
    throw new StatusError(reasons[status.code])
  }

  /** Stays available after the model is lost or closed. Throws NotReadyError before it is loaded. */
  get info(): EmbedderInfo {
    if (this.#info) return this.#info
    throw new NotReadyError(this.notReadyReason ?? '')
  }

  /** Refuses new requests from now on. */
  close(): void {
    this.#state = { phase: 'closing', reason: 'the server is shutting down' }
  }

  async #load(pending: Embedder | Promise<Embedder>, onLoaded: (embedder: Embedder) => void): Promise<void> {
    const embedder = await pending
    checkRoom(embedder)
    if (this.#state.phase !== 'loading') return
    this.#info = embedder.info()
    this.#state = { phase: 'warming', embedder }
    onLoaded(embedder)
    while (this.#state.phase === 'warming') {
      try {
        await warmUp(embedder)
        break
      } catch (error) {
        // Other users of the embedder keep it busy. It works, so try again.
        if (!(error instanceof OverloadedError)) throw error
        await sleep(Math.max(0.1, error.retryAfter) * 1000, undefined, { ref: false })
      }
    }
    if (this.#state.phase === 'warming') this.#state = { phase: 'ready', embedder }
  }
}

const greySide = 16
const greyBytes = 3 * greySide * greySide

/** Throws InvalidArgumentError if the warm-up's clip, which is smaller than any that a client sends, could never be admitted. */
function checkRoom(embedder: Embedder): void {
  const { model, limits } = embedder.info()
  const found = limits.input.maxBytesInFlight
  const needed = model.frames * greyBytes
  if (found >= needed) return
  throw new InvalidArgumentError(
    `limits.maxBytesInFlight: a server needs at least ${needed}, which is the clip that it warms the model up with, found ${found}`,
    { details: { found, limit: needed } },
  )
}

/** Embeds one text and one grey clip, so that the first request does not wait for lazy initialization. */
async function warmUp(embedder: Embedder): Promise<void> {
  const { frames } = embedder.info().model
  const grey = { width: greySide, height: greySide, data: new Uint8Array(greyBytes).fill(128) }
  await embedder.embedText('warm up')
  await embedder.embedVideo({ frames: Array.from({ length: frames }, () => grey) })
}
