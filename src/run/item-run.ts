import { CosmosEmbedError, DeviceLostError } from '../errors.ts'
import type { Lease } from '../schedule/admission.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { ItemKind, ProgressStage, TextEmbedding, Timings, VideoEmbedding } from '../types.ts'
import { noTime, type Stats } from './stats.ts'

export interface WorkOptions {
  kind: ItemKind
  /** What the caller knows the item by. */
  key?: unknown
  priority: Priority
  signal: AbortSignal
  lease: Lease
  passed?: ((stage: ProgressStage) => void) | undefined
  /** Told when it fails because its device is gone. */
  lost?: (failure: DeviceLostError) => void
}

/** One admitted item on its way through the pipeline. It is counted once, when it has ended. */
export class Work {
  readonly priority: Priority
  readonly signal: AbortSignal
  readonly lease: Lease
  /** Filled in stage by stage; of a failed item, as far as it came. */
  readonly timings: Timings = noTime()
  /** To be called when a stage is behind it. */
  readonly passed: (stage: ProgressStage) => void
  readonly #kind: ItemKind
  readonly #key: unknown
  readonly #stats: Stats
  readonly #lost: (failure: DeviceLostError) => void
  readonly #started = performance.now()

  constructor(stats: Stats, options: WorkOptions) {
    const { kind, key, priority, signal, lease, passed = () => {}, lost = () => {} } = options
    this.#stats = stats
    this.#lost = lost
    this.#kind = kind
    this.#key = key
    this.priority = priority
    this.signal = signal
    this.lease = lease
    this.passed = passed
  }

  /** Counts the item by how `task` ends. */
  async run<R extends TextEmbedding | VideoEmbedding>(task: () => Promise<R>): Promise<R> {
    try {
      const result = await task()
      this.#end('ok', { tokens: 'tokens' in result ? result.tokens : 0 })
      return result
    } catch (failure) {
      this.failed(failure)
      throw failure
    }
  }

  failed(failure: unknown): void {
    const isLost = failure instanceof DeviceLostError
    if (isLost) this.#lost(failure)
    // Work that is stopped because the device is gone was not cancelled by anybody.
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
