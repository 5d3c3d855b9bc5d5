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
  NativeStillImage,
} from '#binding'
import { runDecode, runNative } from '../base/native-job.ts'
import { InternalError } from '../errors.ts'
import { DEFAULT_BATCH, type ResolvedOptions } from '../options.ts'
import type { Item, VideoItem } from '../request/items.ts'
import { Batcher } from '../schedule/batcher.ts'
import { DecodeGate } from '../schedule/decode-gate.ts'
import type { Memory } from '../schedule/memory-budget.ts'
import type { Release } from '../schedule/priority-semaphore.ts'
import { copyMedia, type Media } from '../source/copy-media.ts'
import type { Sources } from '../source/sources.ts'
import type { TokenizedText } from '../tokenizer/tokenizer.ts'
import type { EmbedderStats, ExtractedFrames, TextEmbedding, VideoEmbedding } from '../types.ts'
import { extracted } from './frames.ts'
import type { Work } from './item-run.ts'
import type { Stats } from './stats.ts'
import { mediaWarnings, textWarnings } from './warnings.ts'

/** What the pipelines of all devices have in common. */
export interface SharedParts {
  binding: Binding
  sources: Sources
  options: ResolvedOptions
  stats: Stats
}

export interface PipelineParts extends SharedParts {
  engine: NativeEngine
  /** Where the engine is, and where clips are made. Nothing on the CPU. */
  gpu?: NativeGpu
  /** Videos decoded at one time. */
  decodeConcurrency: number
}

export type ClipItem = Exclude<Item, { kind: 'text' }>
export type ReadyItem = ClipItem | { kind: 'text'; tokens: TokenizedText; looksLike?: string | undefined }

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
  readonly #decoders: DecodeGate
  readonly #batchers: Readonly<Record<Row['kind'], Batcher<Row, Float32Array>>>

  constructor(parts: PipelineParts) {
    const { engine, gpu, options, decodeConcurrency } = parts
    const { maxVideoBatch, maxTextBatch, videoLanes } = engine.info
    const { batching } = options
    const video = batching.maxVideoBatch ?? ((gpu && maxVideoBatch) || DEFAULT_BATCH)
    const text = batching.maxTextBatch
    this.#parts = parts
    this.maxBatch = {
      video: Math.min(video, maxVideoBatch || video),
      text: Math.min(text, maxTextBatch || text),
    }
    this.#decoders = new DecodeGate({
      decoders: decodeConcurrency,
      // For the clips being decoded, for the batches that run and for one that gathers meanwhile: pixels never pile up.
      room: decodeConcurrency + (videoLanes + 1) * this.maxBatch.video,
      queryRoom: decodeConcurrency + this.maxBatch.video,
    })
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
    return item.kind === 'text' ? this.#embedText(item, work) : this.#embedClip(item, work)
  }

  async #embedText(item: Extract<ReadyItem, { kind: 'text' }>, work: Work): Promise<TextEmbedding> {
    const { ids, tokens, truncated } = item.tokens
    const embedding = await this.#encode({ kind: 'text', length: tokens, ids }, work)
    return { kind: 'text', embedding, tokens, truncated, warnings: textWarnings(item), timings: work.timings }
  }

  async #embedClip(item: ClipItem, work: Work): Promise<VideoEmbedding> {
    const memory = work.lease.openMemory()
    try {
      const { media, borrowed } = await this.#read(item, memory, work)
      const { binding } = this.#parts
      const start = () => binding.decodeClip(borrowed ? copyMedia(media) : media, this.#clipOptions(item))
      const { decoded, release } = await this.#decode(start, work)
      return this.encodeClip(decoded, item.kind, work).finally(release)
    } finally {
      memory.release()
    }
  }

  /** The frames of a video, and the clip, without the model. They are never left in a GPU's memory. */
  async frames(item: VideoItem, keepImages: boolean, work: Work): Promise<ExtractedFrames> {
    const memory = work.lease.openMemory()
    try {
      const { media, borrowed } = await this.#read(item, memory, work)
      const { gpu: _, ...options } = this.#clipOptions(item)
      const start = () =>
        this.#parts.binding.decodeClip(borrowed ? copyMedia(media) : media, { ...options, keepImages })
      const { decoded, release } = await this.#decode(start, work)
      release()
      return extracted(decoded)
    } finally {
      memory.release()
    }
  }

  /** Opens a video once for all its windows. The caller closes the reader. */
  async openSegments(
    item: VideoItem,
    windows: { seconds: number; stride: number },
    work: Work,
  ): Promise<NativeSegmentReader> {
    const { binding } = this.#parts
    // What was fetched is held to the end of the pass, which ends the lease.
    const { media, borrowed } = await this.#read(item, work.lease.openMemory(), work)
    if ('images' in media) throw new InternalError('a video became pictures: this is a bug')
    const open = () =>
      binding.openSegments(borrowed ? copyMedia(media) : media, this.#clipOptions(item), windows)
    const { decoded: reader, release } = await this.#decode(open, work)
    release()
    return reader
  }

  /** The next window; null after the last one. */
  async nextClip(reader: NativeSegmentReader, work: Work): Promise<WaitingClip | null> {
    const { decoded, release } = await this.#decode(() => reader.next(), work)
    if (decoded) return { decoded, release }
    release()
    return null
  }

  /** Takes the clip over: it is released whatever happens. */
  async encodeClip(
    decoded: NativeDecodedClip,
    kind: VideoEmbedding['kind'],
    work: Work,
  ): Promise<VideoEmbedding> {
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
      return { kind, embedding, frames, media, warnings: mediaWarnings(warnings), timings }
    } finally {
      clip.release()
    }
  }

  async #read(
    item: ClipItem,
    memory: Memory,
    work: Work,
  ): Promise<{ media: Media; borrowed?: true | undefined }> {
    const { sources } = this.#parts
    const { signal, priority, timings } = work
    const started = performance.now()
    let waited = 0
    const reading = {
      signal,
      priority,
      room: (bytes: number) => memory.grow(bytes, signal),
      waited: (milliseconds: number) => {
        waited = Math.max(waited, milliseconds)
      },
    }
    const resolved =
      item.kind === 'video'
        ? await sources.video(item.source, reading)
        : await sources.frames(item.frames, reading)
    if (isFetched(item)) {
      timings.queue += waited
      timings.download += performance.now() - started - waited
      work.passed('download')
    }
    const { borrowed } = resolved
    if ('media' in resolved) return { media: resolved.media, borrowed }
    const { images } = resolved
    const copies = item.kind === 'frames' ? item.copies : undefined
    // One picture may stand for all frames; it is read once.
    const all =
      copies === undefined ? images : Array.from({ length: copies }, () => images[0] as NativeStillImage)
    return { media: { images: all }, borrowed }
  }

  /** Works once there are a decoder and room in front of the engine. The caller gives the room back. */
  async #decode<T>(start: () => NativeJob<T>, work: Work): Promise<{ decoded: T; release: Release }> {
    const asked = performance.now()
    const pass = await this.#decoders.acquire(work.priority, work.signal)
    work.timings.queue += performance.now() - asked
    const { gpu, options } = this.#parts
    let [ended, failed] = [false, false]
    try {
      const decoded = await runDecode(start, work.signal, {
        // Waiting for NVDEC is not the video's time.
        maxSeconds: gpu ? undefined : options.decode.limits.maxWallSeconds,
        onEnd: () => {
          ended = true
          if (failed) pass.release()
        },
      })
      pass.decoded()
      return { decoded, release: pass.release }
    } catch (error) {
      failed = true
      // A decoder that does not stop keeps its place: it is as busy as before.
      if (ended) pass.release()
      throw error
    }
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
    // New ones, of this realm: what the addon made may be of another one, as in Jest.
    return rows.map((_, i) => new Float32Array(vectors.subarray(i * embeddingDim, (i + 1) * embeddingDim)))
  }
}

/** Whether its bytes have yet to be read into memory. A video file is read as it is decoded. */
function isFetched(item: ClipItem): boolean {
  if (item.kind === 'video') return ['url', 'stream', 'blob'].includes(item.source.type)
  return item.frames.some(({ type }) => type === 'url' || type === 'path' || type === 'blob')
}
