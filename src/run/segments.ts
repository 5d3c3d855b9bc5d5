/** One pass over a video that yields the vectors of its windows or shots. */
import type { NativeSegmentReader, NativeWindows } from '#binding'
import type { Call } from '../call/calls.ts'
import { streamResults } from '../call/item-stream.ts'
import { CancelledError } from '../errors.ts'
import type { VideoItem } from '../request/items.ts'
import { shotsOf } from '../request/segment-rule.ts'
import type { Lease } from '../schedule/admission.ts'
import type { Release } from '../schedule/priority-semaphore.ts'
import type { Segment, SegmentOptions } from '../types.ts'
import type { ItemRun } from './item-run.ts'
import type { OpenSegments, Pipeline } from './pipeline.ts'

/** How checked options divide a video. */
export function windowsOf({ windowSeconds, strideSeconds, at, shots }: SegmentOptions): NativeWindows {
  if (at !== undefined) return { cuts: at }
  if (windowSeconds !== undefined) return { seconds: windowSeconds, stride: strideSeconds ?? windowSeconds }
  return { shots: shotsOf(shots === true ? {} : shots) }
}

export interface SegmentPassOptions {
  /** The pipeline of the device that holds the reader and its clips. */
  pipeline: Pipeline
  /** Removes the pass from the load of the pipeline. */
  leave: Release
  call: Call
  /** Covers the whole pass. */
  lease: Lease
  /** Starts the run of the next window. */
  startRun: () => ItemRun
  item: VideoItem
  windows: NativeWindows
}

/**
 * One pass over one video. Owns the call, the lease, its place in the pipeline, the reader and the windows in progress, and
 * ends all of them.
 */
export class SegmentPass {
  readonly #options: SegmentPassOptions
  #reader: NativeSegmentReader | undefined
  #encoding: Promise<Segment> | undefined

  constructor(options: SegmentPassOptions) {
    this.#options = options
  }

  run(): AsyncGenerator<Segment, void, undefined> {
    return streamResults(this.#options.call, { results: () => this.#results(), ended: () => this.#ended() })
  }

  async *#results(): AsyncGenerator<Segment, void, undefined> {
    const { pipeline, call, startRun, item, windows } = this.#options
    try {
      let run = startRun()
      const opened = await countFailure(run, pipeline.openSegments(item, windows, run))
      this.#reader = opened.reader
      for (;;) {
        const next = await this.#startNext(opened, run).catch((failure: unknown) => ({ failure }))
        const previous = this.#encoding
        this.#encoding = next && 'segment' in next ? next.segment : undefined
        if (previous) yield await previous
        // Thrown after the previous window was yielded, because that one is complete.
        if (next && 'failure' in next) throw next.failure
        if (!next) return
        call.signal.throwIfAborted()
        run = startRun()
      }
    } finally {
      call.fail(new CancelledError('the loop over the segments was left'))
    }
  }

  /** Decodes the next window and starts to encode it. Resolves to undefined after the last window. */
  async #startNext(opened: OpenSegments, run: ItemRun): Promise<{ segment: Promise<Segment> } | undefined> {
    const { pipeline } = this.#options
    const next = await countFailure(run, pipeline.nextClip(opened, run))
    if (!next) return undefined
    const { decoded, release } = next
    const { start, end } = decoded
    const segment = run
      .finish(() => pipeline.encodeClip(decoded, 'video', run))
      .then((embedding): Segment => ({ start, end, ...embedding }))
      .finally(release)
    // Prevents an unhandled rejection until the loop or the end of the pass awaits it.
    segment.catch(() => {})
    return { segment }
  }

  async #ended(): Promise<void> {
    this.#reader?.close()
    await this.#encoding?.catch(() => {})
    this.#options.leave()
    this.#options.lease.release()
  }
}

/** Counts the run as failed if `stage` rejects. */
async function countFailure<T>(run: ItemRun, stage: Promise<T>): Promise<T> {
  try {
    return await stage
  } catch (failure) {
    run.fail(failure)
    throw failure
  }
}
