import { abortable, onAbort } from '../base/abort.ts'
import { DownloadError } from '../errors.ts'
import type { Limits } from './limits.ts'

type Stage = 'connect' | 'headers' | 'body'

/**
 * The time of one download: the whole of it, its present stage, and in the body the pace. All are joined with the
 * caller's signal.
 */
export class DownloadTimer {
  readonly #what: string
  readonly #controller = new AbortController()
  readonly #total: NodeJS.Timeout
  readonly #forget: () => void
  #stage: NodeJS.Timeout | undefined
  #pace: NodeJS.Timeout | undefined
  /** Bytes of the body since the pace was looked at. */
  #bytes = 0
  #limits: Limits | undefined

  constructor(what: string, totalMs: number, signal: AbortSignal) {
    this.#what = what
    this.#total = setTimeout(() => this.#expire(`took longer than downloadTimeoutMs ${totalMs}`), totalMs)
    this.#forget = onAbort(signal, () => this.#controller.abort(signal.reason))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Ends the stage before it. */
  enter(stage: Stage, limits: Limits): void {
    this.#stopStage()
    if (stage === 'body') {
      this.#limits = limits
      this.#startBody(limits)
      return
    }
    const name = `${stage}TimeoutMs` as const
    const how = stage === 'connect' ? 'could not be connected to' : 'did not answer'
    this.#stage = setTimeout(() => this.#expire(`${how} within ${name} ${limits[name]}`), limits[name])
  }

  /** Some bytes of the body. */
  received(bytes: number): void {
    this.#bytes += bytes
    this.#stage?.refresh()
  }

  /** Waits for something that is not the host's to hurry: only the total counts meanwhile. */
  async pausing(waiting: Promise<void>): Promise<void> {
    this.#stopStage()
    await abortable(waiting, this.signal)
    if (this.#limits) this.#startBody(this.#limits)
  }

  stop(): void {
    clearTimeout(this.#total)
    this.#stopStage()
    this.#forget()
  }

  #startBody({ idleTimeoutMs, minDownloadRate }: Limits): void {
    this.#stage = setTimeout(
      () => this.#expire(`sent nothing for idleTimeoutMs ${idleTimeoutMs}`),
      idleTimeoutMs,
    )
    if (minDownloadRate === 0) return
    const wanted = (minDownloadRate * idleTimeoutMs) / 1000
    this.#bytes = 0
    this.#pace = setInterval(() => {
      if (this.#bytes < wanted)
        this.#expire(`sent less than minDownloadRate ${minDownloadRate} bytes per second`)
      this.#bytes = 0
    }, idleTimeoutMs)
  }

  #stopStage(): void {
    clearTimeout(this.#stage)
    clearInterval(this.#pace)
  }

  #expire(how: string): void {
    this.#controller.abort(new DownloadError(`${this.#what} ${how}`))
  }
}
