/**
 * The way of one item on one device: read, decode, encode. Each stage has its queue, and each queue holds the next
 * one back.
 */
import type {
  Binding,
  NativeClip,
  NativeClipOptions,
  NativeDecodedClip,
  NativeEngine,
  NativeGpu,
  NativeJob,
  NativeSegmentReader,
} from '#binding'
import { InternalError } from './errors.ts'
import type { TokenizedText } from './model/tokenizer.ts'
import { runNative } from './native-job.ts'
import { DEFAULT_BATCH, type ResolvedOptions } from './options.ts'
import { heldBytes, type Item } from './request/items.ts'
import { Batcher } from './schedule/batcher.ts'
import { type Release, Slots } from './schedule/slots.ts'
import { copyOf, type Media } from './source/borrowed.ts'
import type { Sources } from './source/sources.ts'
import type { Stats } from './stats.ts'
import type { EmbedderStats, TextEmbedding, VideoEmbedding } from './types.ts'
import type { Work } from './work.ts'

/** What the pipelines of all devices have in common. */
export interface SharedParts {
  binding: Binding
  sources: Sources
  options: ResolvedOptions
  stats: Stats
  downloads: Slots
}

export interface PipelineParts extends SharedParts {
  engine: NativeEngine
  /** Where the engine is, and where clips are made. Nothing on the CPU. */
  gpu?: NativeGpu
  /** Videos decoded at one time. */
  decodeConcurrency: number
}

export type ClipItem = Exclude<Item, { kind: 'text' }>
export type ReadyItem = ClipItem | { kind: 'text'; tokens: TokenizedText }
export type VideoItem = Extract<Item, { kind: 'video' }>

type Row =
  | { kind: 'text'; length: number; ids: Int32Array }
  | { kind: 'video'; length: number; clip: NativeClip }

/** A decoded window that waits for its vector. `release` gives its place in front of the engine to the next. */
export interface WaitingClip {
  decoded: NativeDecodedClip
  release: Release
}

export class Pipeline {
  readonly maxBatch: { readonly text: number; readonly video: number }
  readonly #parts: PipelineParts
  readonly #room: Slots
  readonly #decoders: Slots
  readonly #batchers: Readonly<Record<Row['kind'], Batcher<Row, Float32Array>>>

  constructor(parts: PipelineParts) {
    const { engine, gpu, options, decodeConcurrency } = parts
    const { maxVideoBatch, maxTextBatch, videoLanes } = engine.info
    const { batching } = options
    const video = batching.maxBatch ?? ((gpu && maxVideoBatch) || DEFAULT_BATCH)
    const text = batching.maxTextBatch
    this.#parts = parts
    this.maxBatch = {
      video: Math.min(video, maxVideoBatch || video),
      text: Math.min(text, maxTextBatch || text),
    }
    this.#decoders = new Slots(decodeConcurrency)
    // Room for the clips being decoded, for the batches that run and for one that gathers meanwhile. Decoders that
    // are faster than the engine wait here, so pixels never pile up.
    this.#room = new Slots(decodeConcurrency + (videoLanes + 1) * this.maxBatch.video)
    this.#batchers = this.#makeBatchers()
  }

  queues(): Omit<EmbedderStats['queues'], 'download'> {
    const { waiting, running } = this.#decoders
    const batchers = [...new Set(Object.values(this.#batchers))]
    return {
      decode: { waiting, running },
      encode: {
        waiting: batchers.reduce((sum, batcher) => sum + batcher.waiting, 0),
        running: batchers.reduce((sum, batcher) => sum + batcher.running, 0),
      },
    }
  }

  embed(item: ReadyItem, work: Work): Promise<TextEmbedding | VideoEmbedding> {
    return item.kind === 'text' ? this.#embedText(item.tokens, work) : this.#embedClip(item, work)
  }

  async #embedText({ ids, tokens, truncated }: TokenizedText, work: Work): Promise<TextEmbedding> {
    const embedding = await this.#encode({ kind: 'text', length: tokens, ids }, work)
    return { embedding, tokens, truncated, timings: work.timings }
  }

  async #embedClip(item: ClipItem, work: Work): Promise<VideoEmbedding> {
    const embed = async () => {
      const { media, borrowed } = await this.#read(item, work)
      const { binding } = this.#parts
      const start = () => binding.decodeClip(borrowed ? copyOf(media) : media, this.#clipOptions(item))
      const { decoded, release } = await this.#decode(start, work)
      return this.encodeClip(decoded, work).finally(release)
    }
    // A download keeps its slot to the end, so that what was fetched and not yet decoded stays bounded too.
    return isFetched(item) ? this.#enter(this.#parts.downloads, work, embed) : embed()
  }

  /** Opens a video once for all its windows. The caller closes the reader. */
  async openSegments(
    item: VideoItem,
    windows: { seconds: number; stride: number },
    work: Work,
  ): Promise<NativeSegmentReader> {
    const { binding } = this.#parts
    const read = () => this.#read(item, work)
    const { media, borrowed } = await (isFetched(item)
      ? this.#enter(this.#parts.downloads, work, read)
      : read())
    if ('images' in media) throw new InternalError('a video became pictures: this is a bug')
    return this.#enter(this.#decoders, work, () =>
      runNative(
        () => binding.openSegments(borrowed ? copyOf(media) : media, this.#clipOptions(item), windows),
        work.signal,
      ),
    )
  }

  /** The next window; null after the last one. */
  async nextClip(reader: NativeSegmentReader, work: Work): Promise<WaitingClip | null> {
    const { decoded, release } = await this.#decode(() => reader.next(), work)
    if (decoded) return { decoded, release }
    release()
    return null
  }

  /** Takes the clip over: it is released whatever happens. */
  async encodeClip(decoded: NativeDecodedClip, work: Work): Promise<VideoEmbedding> {
    const { clip, frames } = decoded
    const { warnings, openMs, waitMs, decodeMs, convertMs, ...media } = decoded.report
    const { timings } = work
    timings.open += openMs
    timings.queue += waitMs
    timings.decode += decodeMs
    timings.convert += convertMs
    try {
      work.passed('decode')
      const embedding = await this.#encode({ kind: 'video', length: clip.frames, clip }, work)
      return { embedding, frames, media, warnings, timings }
    } finally {
      clip.release()
    }
  }

  async #read(item: ClipItem, work: Work): Promise<{ media: Media; borrowed?: true | undefined }> {
    const { sources } = this.#parts
    const started = performance.now()
    const resolved =
      item.kind === 'video'
        ? await sources.video(item.source, work.signal)
        : await sources.frames(item.frames, work.signal)
    if (isFetched(item)) {
      work.lease.charge(Math.max(0, resolved.bytes - heldBytes(item)))
      work.timings.download += performance.now() - started
      work.passed('download')
    }
    const { borrowed } = resolved
    return { media: 'media' in resolved ? resolved.media : { images: resolved.images }, borrowed }
  }

  /** Decodes once there are a decoder and room in front of the engine. The caller gives the room back. */
  #decode<T>(start: () => NativeJob<T>, work: Work): Promise<{ decoded: T; release: Release }> {
    return this.#enter(this.#decoders, work, async () => {
      const asked = performance.now()
      const release = await this.#room.acquire(work.priority, work.signal)
      work.timings.queue += performance.now() - asked
      try {
        return { decoded: await runNative(start, work.signal), release }
      } catch (error) {
        release()
        throw error
      }
    })
  }

  #clipOptions(item: ClipItem): NativeClipOptions {
    const { engine, gpu, options } = this.#parts
    const { frames, height, width } = engine.info
    const alone = this.#decoders.running === 1 && this.#decoders.waiting === 0
    const range: Partial<VideoItem> = item.kind === 'video' ? item : { frameRule: 'card' }
    const { start, end, frameRule = options.frameRule, frameTolerance } = range
    return {
      frames,
      height,
      width,
      // One thread per clip has no overhead; only a lone clip has idle cores to win from more.
      threads: alone ? options.decode.threads : 1,
      limits: options.decode.limits,
      ...(gpu !== undefined && { gpu }),
      ...(start !== undefined && { start }),
      ...(end !== undefined && { end }),
      ...(frameRule !== 'card' && { frameRule }),
      ...(frameTolerance !== undefined && { frameTolerance }),
    }
  }

  async #encode(row: Row, work: Work): Promise<Float32Array> {
    const batcher = this.#batchers[row.kind]
    const { result, queueMs, runMs } = await batcher.submit(row, work.priority, work.signal)
    work.timings.queue += queueMs
    work.timings.encode += runMs
    work.passed('encode')
    return result
  }

  /** A GPU works on both towers at a time: there a text does not wait for videos. The CPU runs one batch at a time. */
  #makeBatchers() {
    const { engine, gpu, options } = this.#parts
    const make = (lanes: number) =>
      new Batcher<Row, Float32Array>({
        maxBatch: this.maxBatch,
        maxDelayMs: options.batching.maxQueueDelayMs,
        lanes,
        run: (rows, signal) => this.#runBatch(rows, signal),
      })
    if (gpu) return { video: make(engine.info.videoLanes), text: make(engine.info.textLanes) }
    const only = make(1)
    return { video: only, text: only }
  }

  async #runBatch(rows: readonly Row[], signal: AbortSignal): Promise<Float32Array[]> {
    const { engine, stats } = this.#parts
    const texts = rows.flatMap((row) => (row.kind === 'text' ? [row.ids] : []))
    const clips = rows.flatMap((row) => (row.kind === 'video' ? [row.clip] : []))
    const vectors = await runNative(
      () => (texts.length > 0 ? engine.encodeText(texts) : engine.encodeVideo(clips)),
      signal,
    )
    stats.batchEnded(texts.length > 0 ? 'text' : 'video', rows.length)
    const { embeddingDim } = engine.info
    if (vectors.length !== rows.length * embeddingDim) {
      throw new InternalError(
        `a batch of ${rows.length} gave ${vectors.length} floats, not ${rows.length} × ${embeddingDim}: this is a bug`,
      )
    }
    return rows.map((_, i) => vectors.slice(i * embeddingDim, (i + 1) * embeddingDim))
  }

  /** Waits for a slot, counting the wait, and keeps it while `task` runs. */
  #enter<T>(slots: Slots, work: Work, task: () => Promise<T>): Promise<T> {
    const asked = performance.now()
    return slots.run(work.priority, work.signal, () => {
      work.timings.queue += performance.now() - asked
      return task()
    })
  }
}

/** Whether its bytes have yet to be read into memory. A video file is read as it is decoded. */
function isFetched(item: ClipItem): boolean {
  if (item.kind === 'video') return item.source.type === 'url' || item.source.type === 'stream'
  return item.frames.some((frame) => frame.type === 'url' || frame.type === 'path')
}
