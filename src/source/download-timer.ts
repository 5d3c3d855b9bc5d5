/** The time limits of one download. */
import { abortable, onAbort } from '../base/abort.ts'
import { DownloadError } from '../errors.ts'
import type { Limits } from './limits.ts'

/** An `endless` body has no limits here. */
type Stage = 'connect' | 'headers' | 'body' | 'endless'

/**
 * Limits the total time of a download, the time of its current stage and, during the body, the transfer rate. Its signal
 * aborts when a limit is exceeded or the caller's signal aborts.
 */
export class DownloadTimer {
  readonly #what: string
  readonly #controller = new AbortController()
  readonly #total: NodeJS.Timeout | undefined
  readonly #forget: () => void
  #stage: NodeJS.Timeout | undefined
  #rate: NodeJS.Timeout | undefined
  /** Bytes of the body since the rate was last checked. */
  #bytes = 0
  #limits: Limits | undefined

  constructor(what: string, totalMs: number | undefined, signal: AbortSignal) {
    this.#what = what
    if (totalMs !== undefined) {
      this.#total = setTimeout(() => this.#expire(`took longer than downloadTimeoutMs ${totalMs}`), totalMs)
    }
    this.#forget = onAbort(signal, () => this.#controller.abort(signal.reason))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Begins a stage and ends the previous one. */
  enter(stage: Stage, limits: Limits): void {
    this.#stopStage()
    if (stage === 'endless') return
    if (stage === 'body') {
      this.#limits = limits
      this.#startBody(limits)
      return
    }
    const name = `${stage}TimeoutMs` as const
    const how = stage === 'connect' ? 'could not be connected to' : 'did not answer'
    this.#stage = setTimeout(() => this.#expire(`${how} within ${name} ${limits[name]}`), limits[name])
  }

  /** Records bytes of the body. */
  received(bytes: number): void {
    this.#bytes += bytes
    this.#stage?.refresh()
  }

  /** Awaits something other than the host. Meanwhile only the total time is limited. */
  async pauseWhile(waiting: Promise<void>): Promise<void> {
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
    this.#rate = setInterval(() => {
      if (this.#bytes < wanted)
        this.#expire(`sent less than minDownloadRate ${minDownloadRate} bytes per second`)
      this.#bytes = 0
    }, idleTimeoutMs)
  }

  #stopStage(): void {
    clearTimeout(this.#stage)
    clearInterval(this.#rate)
  }

  #expire(how: string): void {
    this.#controller.abort(new DownloadError(`${this.#what} ${how}`))
  }
}
