/** The model behind the routes, and whether it can be used now. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, DeviceLostError, NotReadyError, OverloadedError } from '../errors.ts'
import type { Embedder, EmbedderInfo, EmbedderStatus } from '../types.ts'
import { StoppingError } from './errors.ts'

export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

type State =
  | { phase: 'loading' | 'failed' | 'closing'; reason: string }
  | { phase: 'ready'; embedder: Embedder }

/** For clients, who learn no more than what to ask for. */
const reasons: Readonly<Record<Exclude<EmbedderStatus, { ready: true }>['code'], string>> = {
  device_lost: 'the device was lost: restart the server',
  closed: 'the embedder is closed',
}

export class ServedModel {
  #state: State = { phase: 'loading', reason: 'the model is loading' }
  #info: EmbedderInfo | undefined

  /** Resolves when the model is loaded and warmed; rejects with the reason when it cannot be. */
  readonly ready: Promise<void>

  /** `onReady` runs once, when the model is loaded and warmed. */
  constructor(embedder: Embedder | Promise<Embedder>, log: Log, onReady: (embedder: Embedder) => void) {
    this.ready = this.#load(embedder, onReady)
    this.ready.catch((error: unknown) => {
      if (this.#state.phase !== 'loading') return
      this.#state = {
        phase: 'failed',
        reason: 'the model could not be loaded; the log of the server says why',
      }
      log.error({ err: error }, 'the model could not be loaded')
    })
  }

  /** Why not, when it cannot be used. */
  get reason(): string | undefined {
    if (this.#state.phase !== 'ready') return this.#state.reason
    const status = this.#state.embedder.status()
    return status.ready ? undefined : reasons[status.code]
  }

  /** Throws NotReadyError, ClosedError or DeviceLostError. */
  get embedder(): Embedder {
    const state = this.#state
    if (state.phase === 'closing') throw new StoppingError()
    if (state.phase !== 'ready') throw new NotReadyError(state.reason)
    const status = state.embedder.status()
    if (status.ready) return state.embedder
    // Neither comes back in this process: "not ready" would tell clients to wait for nothing.
    const Reason = status.code === 'closed' ? ClosedError : DeviceLostError
    throw new Reason(reasons[status.code])
  }

  /** Also when the model cannot be used any more. Throws NotReadyError before it is loaded. */
  get info(): EmbedderInfo {
    if (this.#info) return this.#info
    throw new NotReadyError(this.reason ?? '')
  }

  /** Takes no new work from now on. */
  close(): void {
    this.#state = { phase: 'closing', reason: 'the server is shutting down' }
  }

  async #load(pending: Embedder | Promise<Embedder>, onReady: (embedder: Embedder) => void): Promise<void> {
    const embedder = await pending
    while (this.#state.phase === 'loading') {
      try {
        await warmUp(embedder)
        break
      } catch (error) {
        // Whoever shares the embedder keeps it busy, so it works: only its turn has not come.
        if (!(error instanceof OverloadedError)) throw error
        await sleep(Math.max(0.1, error.retryAfter) * 1000, undefined, { ref: false })
      }
    }
    if (this.#state.phase !== 'loading') return
    this.#info = embedder.info()
    this.#state = { phase: 'ready', embedder }
    onReady(embedder)
  }
}

/** One text and one grey clip, so that the first client does not pay for what is made lazily. */
async function warmUp(embedder: Embedder): Promise<void> {
  const { frames } = embedder.info().model
  const grey = { width: 16, height: 16, data: new Uint8Array(3 * 16 * 16).fill(128) }
  await embedder.embedText('warm up')
  await embedder.embedVideo({ frames: Array.from({ length: frames }, () => grey) })
}
