/** One admitted item: its signal and lease, its timings, and its outcome for the statistics. */
import type { StageListener } from '../call/progress.ts'
import { CosmosEmbedError, DeviceLostError } from '../errors.ts'
import type { Lease } from '../schedule/admission.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { ItemKind, TextEmbedding, Timings, VideoEmbedding } from '../types.ts'
import { noTime, type Stats } from './stats.ts'

export interface ItemRunOptions {
  kind: ItemKind
  /** The item's `key`. */
  key?: unknown
  priority: Priority
  signal: AbortSignal
  lease: Lease
  onStageDone?: StageListener | undefined
  /** Called when the item fails because its device is lost. */
  onDeviceLost?: (failure: DeviceLostError) => void
}

/** The run of one admitted item through a pipeline. It is counted once, when it ends. */
export class ItemRun {
  readonly priority: Priority
  readonly signal: AbortSignal
  readonly lease: Lease
  /** Filled in stage by stage; for a failed item, as far as it came. */
  readonly timings: Timings = noTime()
  /** To be called when the item has finished a stage. */
  readonly stageDone: StageListener
  readonly #kind: ItemKind
  readonly #key: unknown
  readonly #stats: Stats
  readonly #onDeviceLost: (failure: DeviceLostError) => void
  readonly #started = performance.now()

  constructor(stats: Stats, options: ItemRunOptions) {
    const { kind, key, priority, signal, lease, onStageDone = () => {}, onDeviceLost = () => {} } = options
    this.#stats = stats
    this.#onDeviceLost = onDeviceLost
    this.#kind = kind
    this.#key = key
    this.priority = priority
    this.signal = signal
    this.lease = lease
    this.stageDone = onStageDone
  }

  /** Runs the last task of the item and counts the item by its outcome. */
  async finish<R extends TextEmbedding | VideoEmbedding>(task: () => Promise<R>): Promise<R> {
    try {
      const result = await task()
      this.#end('ok', { tokens: 'tokens' in result ? result.tokens : 0 })
      return result
    } catch (failure) {
      this.fail(failure)
      throw failure
    }
  }

  /** Counts the item as failed or cancelled. */
  fail(failure: unknown): void {
    const isLost = failure instanceof DeviceLostError
    if (isLost) this.#onDeviceLost(failure)
    // An item that ends because the device is lost was not cancelled, although its signal is aborted.
    if (this.signal.aborted && failure === this.signal.reason && !isLost) this.#end('cancelled')
    else this.#end('error', { code: failure instanceof CosmosEmbedError ? failure.code : 'internal' })
  }

  #end(outcome: 'ok' | 'error' | 'cancelled', { tokens = 0, code }: { tokens?: number; code?: string } = {}) {
    this.timings.total = performance.now() - this.#started
    const { priority, timings } = this
    this.#stats.itemEnded(
      {
        kind: this.#kind,
        ...(this.#key !== undefined && { key: this.#key }),
        priority,
        outcome,
        timings: { ...timings },
        ...(code !== undefined && { code }),
      },
      tokens,
    )
  }
}
