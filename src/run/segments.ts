import type { NativeSegmentReader } from '#binding'
import type { Call } from '../call/calls.ts'
import { streamResults } from '../call/item-stream.ts'
import { CancelledError } from '../errors.ts'
import type { VideoItem } from '../request/items.ts'
import type { Lease } from '../schedule/admission.ts'
import type { Release } from '../schedule/priority-semaphore.ts'
import type { Segment } from '../types.ts'
import type { Work } from './item-run.ts'
import type { Pipeline } from './pipeline.ts'

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

  constructor(parts: SegmentPassParts) {
    this.#parts = parts
  }

  run(): AsyncGenerator<Segment, void, undefined> {
    return streamResults(this.#parts.call, { results: () => this.#results(), ended: () => this.#ended() })
  }

  async *#results(): AsyncGenerator<Segment, void, undefined> {
    const { pipeline, call, newWork, item, windows } = this.#parts
    try {
      let work = newWork()
      const reader = await counted(work, pipeline.openSegments(item, windows, work))
      this.#reader = reader
      for (;;) {
        const next = await this.#startNext(reader, work).catch((failure: unknown) => ({ failure }))
        const former = this.#encoding
        this.#encoding = next && 'segment' in next ? next.segment : undefined
        if (former) yield await former
        // The windows before a broken one are whole.
        if (next && 'failure' in next) throw next.failure
        if (!next) return
        call.signal.throwIfAborted()
        work = newWork()
      }
    } finally {
      call.fail(new CancelledError('the loop over the segments was left'))
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

  async #ended(): Promise<void> {
    this.#reader?.close()
    await this.#encoding?.catch(() => {})
    this.#parts.leave()
    this.#parts.lease.release()
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
