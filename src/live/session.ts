/** One call of `live`: reads the stream, embeds its windows and keeps both in step. */
import { abortable } from '../base/abort.ts'
import type { CheckedLiveOptions } from '../call/call-options.ts'
import type { Call } from '../call/calls.ts'
import { type ResultStream, streamResults } from '../call/item-stream.ts'
import {
  CancelledError,
  CosmosEmbedError,
  type DownloadError,
  LimitError,
  MediaError,
  SourceError,
  TimeoutError,
} from '../errors.ts'
import { asUint8Array, isBytes } from '../source/type-guards.ts'
import type { DroppedWindow, LiveSegment, VideoEmbedding } from '../types.ts'
import { LiveDemuxer } from './container.ts'
import { type FilledWindow, Timeline, type WithinVideo } from './timeline.ts'
import type { Unit } from './units.ts'

/** Windows that are decoded or encoded at one time, so that decoder and engine both work. */
const IN_PROGRESS = 2
/** A stream none of whose windows can be decoded is not read for ever. */
const MAX_FAILURES_IN_A_ROW = 3
/** Large chunks are taken apart, so that memory is checked in between. */
const CHUNK_BYTES = 64 * 1024

/** Options with defaults applied. */
export type ResolvedLiveOptions = CheckedLiveOptions & { strideSeconds: number }

export interface LiveSessionOptions {
  call: Call
  /** Opens the stream. The signal aborts when the session ends. */
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>
  /** The class of the error when nothing comes for too long. */
  stalled: typeof SourceError | typeof DownloadError
  /** Embeds a window of a video. */
  embed: (video: Uint8Array, range: WithinVideo['range']) => Promise<VideoEmbedding>
  /** How many pictures of a video a decoder shows. */
  countShown: (video: Uint8Array) => Promise<number>
  /** Whether the frame rule depends on where the video's clock begins. */
  needsPictureBefore: boolean
  options: ResolvedLiveOptions
}

type Outcome = { segment: Omit<LiveSegment, 'dropped'> } | { failure: unknown; window: FilledWindow }

export class LiveSession implements ResultStream<LiveSegment> {
  readonly #session: LiveSessionOptions
  readonly #timeline: Timeline
  readonly #demuxer: LiveDemuxer
  readonly #stop = new AbortController()
  #inProgress: Promise<Outcome>[] = []
  #reading: Promise<void> = Promise.resolve()
  #end: { failure?: unknown } | undefined
  #wake: (() => void)[] = []
  #dropped = 0
  readonly #hidden = new WeakMap<Unit, number>()

  constructor(session: LiveSessionOptions) {
    const { options, needsPictureBefore } = session
    this.#session = session
    this.#timeline = new Timeline({ ...options, needsPictureBefore })
    this.#demuxer = new LiveDemuxer({ maxBytes: options.maxBytes })
  }

  run(): AsyncGenerator<LiveSegment, void, undefined> {
    return streamResults(this.#session.call, this)
  }

  async *results(): AsyncGenerator<LiveSegment, void, undefined> {
    const { call } = this.#session
    call.signal.throwIfAborted()
    this.#reading = this.#read().then(
      () => this.#ends({}),
      (failure: unknown) => this.#ends({ failure }),
    )
    let failures = 0
    let succeeded = false
    try {
      for (;;) {
        this.#start()
        const [first] = this.#inProgress
        if (!first) {
          // After the windows before it, because those are complete.
          if (this.#end && 'failure' in this.#end) throw this.#end.failure
          if (this.#end) return
          await this.#changed()
          continue
        }
        const outcome = await first
        this.#inProgress.shift()
        if ('segment' in outcome) {
          failures = 0
          succeeded = true
          yield { ...outcome.segment, dropped: this.#takeDropped() }
          continue
        }
        const { failure, window } = outcome
        if (
          call.signal.aborted ||
          !isOfTheMedia(failure) ||
          !succeeded ||
          ++failures === MAX_FAILURES_IN_A_ROW
        )
          throw failure
        this.#drop({ start: window.start, end: window.end, reason: failure })
      }
    } finally {
      call.fail(new CancelledError('the loop over the live stream was left'))
    }
  }

  async ended(): Promise<void> {
    this.#stop.abort(new CancelledError('the live stream was closed'))
    await Promise.all([this.#reading, ...this.#inProgress])
  }

  #ends(end: { failure?: unknown }): void {
    this.#end = end
    this.#notify()
  }

  /** Begins with complete windows as far as there is room. */
  #start(): void {
    while (this.#inProgress.length < IN_PROGRESS) {
      const window = this.#timeline.take()
      if (!window) return
      this.#inProgress.push(this.#embed(window))
      this.#notify()
    }
  }

  async #embed(window: FilledWindow): Promise<Outcome> {
    const { start, end, filledAt, video, discontinuity } = window
    try {
      const { range, shift } = window.within(await this.#hiddenIn(window))
      const { frames, media, ...embedding } = await this.#session.embed(video, range)
      const segment = {
        start,
        end,
        ...embedding,
        frames: frames.map((frame) => ({ ...frame, pts: frame.pts + shift })),
        media: { ...media, duration: end - start },
        lagSeconds: (performance.now() - filledAt) / 1000,
        discontinuity,
      }
      return { segment }
    } catch (failure) {
      return { failure, window }
    }
  }

  /** How many leading pictures of a video are hidden. Several windows may begin with the same. */
  async #hiddenIn({ keyframe, pictures, leading, video }: FilledWindow): Promise<number> {
    if (leading === 0) return 0
    const known = this.#hidden.get(keyframe)
    if (known !== undefined) return known
    const hidden = pictures - (await this.#session.countShown(video))
    this.#hidden.set(keyframe, hidden)
    return hidden
  }

  async #read(): Promise<void> {
    const { call, open, options } = this.#session
    const signal = AbortSignal.any([call.signal, this.#stop.signal])
    const source = open(signal)[Symbol.asyncIterator]()
    let isOpen = true
    try {
      for (;;) {
        const next = await this.#next(source, options.stallSeconds, signal)
        if (next.done) break
        if (!isBytes(next.value)) {
          throw new SourceError(`the live stream yields ${typeof next.value}, expected Uint8Array chunks`)
        }
        const chunk = asUint8Array(next.value)
        for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
          await this.#take(this.#demuxer.push(chunk.subarray(at, at + CHUNK_BYTES)), signal)
        }
      }
      isOpen = false
      await this.#take(this.#demuxer.end(), signal)
      this.#timeline.end(performance.now())
    } catch (failure) {
      signal.throwIfAborted()
      if (failure instanceof CosmosEmbedError) throw failure
      throw new SourceError('the live stream failed', { cause: failure })
    } finally {
      // Not awaited, because `return` of a source that hangs would hang, too.
      if (isOpen) void (async () => source.return?.())().catch(() => {})
    }
  }

  /** The next chunk. Rejects when none comes in time. */
  async #next(
    source: AsyncIterator<Uint8Array>,
    seconds: number,
    signal: AbortSignal,
  ): Promise<IteratorResult<Uint8Array>> {
    let timer: NodeJS.Timeout | undefined
    const stalled = new Promise<never>((_, reject) => {
      const message = `the live stream sent nothing for ${seconds} seconds (stallSeconds)`
      timer = setTimeout(() => reject(new this.#session.stalled(message)), seconds * 1000)
    })
    try {
      return await abortable(Promise.race([source.next(), stalled]), signal)
    } finally {
      clearTimeout(timer)
    }
  }

  async #take(units: readonly Unit[], signal: AbortSignal): Promise<void> {
    for (const unit of units) {
      this.#timeline.add(unit, performance.now())
      if (this.#isFull()) await this.#makeRoom(signal)
    }
    this.#start()
  }

  #isFull(): boolean {
    const { maxWaiting, maxBytes } = this.#session.options
    return this.#timeline.waiting > maxWaiting || this.#timeline.bytes > maxBytes
  }

  async #makeRoom(signal: AbortSignal): Promise<void> {
    const { drop, windowSeconds, maxBytes } = this.#session.options
    while (this.#isFull()) {
      if (this.#timeline.waiting === 0) {
        throw new LimitError(
          `a window of ${windowSeconds} seconds takes more of the live stream than maxBytes ${maxBytes}: raise it, or ` +
            'use shorter windows or a stream with more keyframes',
          { details: { limit: maxBytes } },
        )
      }
      this.#start()
      if (!this.#isFull()) return
      if (drop === 'oldest') this.#dropOldest()
      else await abortable(this.#changed(), signal)
    }
  }

  #dropOldest(): void {
    const window = this.#timeline.drop()
    if (window) this.#drop({ ...window, reason: 'late' })
  }

  #drop(window: DroppedWindow): void {
    this.#dropped++
    try {
      this.#session.options.onDrop(window)
    } catch (thrown) {
      // The loop rejects with it, wherever it waits.
      this.#session.call.fail(thrown)
      throw thrown
    }
  }

  #takeDropped(): number {
    const dropped = this.#dropped
    this.#dropped = 0
    return dropped
  }

  #changed(): Promise<void> {
    const changed = new Promise<void>((resolve) => this.#wake.push(resolve))
    return abortable(changed, this.#session.call.signal)
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

/** Whether a failure concerns one window only: a later one may be whole again. */
function isOfTheMedia(failure: unknown): failure is CosmosEmbedError {
  return (
    (failure instanceof MediaError && failure.code !== 'encrypted') ||
    failure instanceof TimeoutError ||
    failure instanceof LimitError
  )
}
