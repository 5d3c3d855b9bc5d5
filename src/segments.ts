import type { NativeSegmentReader } from '#binding'
import { onAbort } from './abort.ts'
import type { Call } from './calls.ts'
import { CancelledError } from './errors.ts'
import { ours } from './native-failure.ts'
import type { Pipeline } from './pipeline.ts'
import type { VideoItem } from './request/items.ts'
import type { Lease } from './schedule/admission.ts'
import type { Release } from './schedule/slots.ts'
import type { Segment } from './types.ts'
import type { Work } from './work.ts'

export interface Windows {
  seconds: number
  stride: number
}

export interface SegmentPassParts {
  /** Of one device: the reader and its clips live there. */
  pipeline: Pipeline
  /** Ends the stay in it. */
  leave: Release
  call: Call
  /** Of the whole pass. */
  lease: Lease
  newWork: () => Work
  item: VideoItem
  windows: Windows
}

/**
 * One pass over one video. Owns the call, the lease, its stay in the pipeline, the reader and the windows under way:
 * all end with the pass.
 */
export class SegmentPass {
  readonly #parts: SegmentPassParts
  #reader: NativeSegmentReader | undefined
  #encoding: Promise<Segment> | undefined
  #paused = false

  constructor(parts: SegmentPassParts) {
    this.#parts = parts
  }

  async *run(): AsyncGenerator<Segment, void, undefined> {
    const { pipeline, call, newWork, item, windows } = this.#parts
    // A consumer that rests inside its loop cannot run our `finally`: then the abort itself cleans up.
    const forget = onAbort(call.signal, () => {
      if (this.#paused) void this.#close({ failure: call.signal.reason })
    })
    let outcome: { failure: unknown } | undefined
    try {
      let work = newWork()
      const reader = await counted(work, pipeline.openSegments(item, windows, work))
      this.#reader = reader
      for (;;) {
        const next = await this.#startNext(reader, work).catch((failure: unknown) => ({ failure }))
        const former = this.#encoding
        this.#encoding = next && 'segment' in next ? next.segment : undefined
        if (former) {
          const segment = await former
          this.#paused = true
          call.rest()
          yield segment
          call.resume()
          this.#paused = false
        }
        // The windows before a broken one are whole.
        if (next && 'failure' in next) throw next.failure
        if (!next) return
        call.signal.throwIfAborted()
        work = newWork()
      }
    } catch (thrown) {
      const failure = call.signal.aborted && thrown === call.signal.reason ? thrown : ours(thrown)
      outcome = { failure }
      throw failure
    } finally {
      forget()
      call.fail(new CancelledError('the loop over the segments was left'))
      await this.#close(outcome)
    }
  }

  /** Decodes the next window and starts to encode it; nothing after the last one. */
  async #startNext(
    reader: NativeSegmentReader,
    work: Work,
  ): Promise<{ segment: Promise<Segment> } | undefined> {
    const { pipeline } = this.#parts
    const waiting = await counted(work, pipeline.nextClip(reader, work))
    if (!waiting) return undefined
    const { decoded, release } = waiting
    const { start, end } = decoded
    const segment = work
      .run(() => pipeline.encodeClip(decoded, 'video', work))
      .then((embedding): Segment => ({ start, end, ...embedding }))
      .finally(release)
    // It may fail while nobody looks yet; the loop, or the end of the pass, will.
    segment.catch(() => {})
    return { segment }
  }

  async #close(outcome: { failure: unknown } | undefined) {
    this.#reader?.close()
    await this.#encoding?.catch(() => {})
    this.#parts.leave()
    this.#parts.lease.release()
    this.#parts.call.end(outcome)
  }
}

async function counted<T>(work: Work, stage: Promise<T>): Promise<T> {
  try {
    return await stage
  } catch (failure) {
    work.failed(failure)
    throw failure
  }
}
