/**
 * The path of items on one device: read, decode, encode. Each stage has a queue, and each queue applies back pressure to the
 * stage before it.
 */
import type {
  Binding,
  NativeClip,
  NativeClipOptions,
  NativeDecodedClip,
  NativeDecoderPool,
  NativeEngine,
  NativeGpu,
  NativeJob,
  NativeSegmentReader,
  NativeStillImage,
  NativeWindows,
} from '#binding'
import { runDecode, runNative } from '../base/native-job.ts'
import { InternalError } from '../errors.ts'
import { DEFAULT_BATCH, type ResolvedOptions } from '../options.ts'
import type { Item, VideoItem } from '../request/items.ts'
import { Batcher } from '../schedule/batcher.ts'
import { DecodeGate } from '../schedule/decode-gate.ts'
import type { MemoryReservation } from '../schedule/memory-budget.ts'
import type { Release } from '../schedule/priority-semaphore.ts'
import { copyMedia, type Media } from '../source/copy-media.ts'
import type { Sources } from '../source/sources.ts'
import type { TokenizedText } from '../tokenizer/tokenizer.ts'
import type { EmbedderStats, ExtractedFrames, TextEmbedding, VideoEmbedding } from '../types.ts'
import { reportCrash } from './crash-report.ts'
import { toExtractedFrames } from './extracted-frames.ts'
import type { ItemRun } from './item-run.ts'
import type { Stats } from './stats.ts'
import { mediaWarnings, textWarnings } from './warnings.ts'

/**
 * What one more batch of texts costs, in tokens whose computation takes as long. On the GPU of docs/performance.md one text
 * takes half as long as a batch of 64 short ones, which is a thousand tokens. On the CPU a batch costs little more than its
 * tokens.
 */
const BATCH_COST = { gpu: 1024, cpu: 16 }
/** Tokens that a batch of texts may compute: enough to occupy the device, little enough not to hold up a query. */
const TEXT_TOKENS = { gpu: 4096, cpu: 1024 }

/** What the pipelines of all devices share. */
export interface SharedPipelineOptions {
  binding: Binding
  sources: Sources
  options: ResolvedOptions
  stats: Stats
}

export interface PipelineOptions extends SharedPipelineOptions {
  engine: NativeEngine
  /** The GPU that holds the engine and the clips; undefined on the CPU. */
  gpu?: NativeGpu
  /** The processes that decode; undefined when this process does. */
  decoders?: NativeDecoderPool
  /** Videos decoded at one time. */
  decodeConcurrency: number
}

export type ClipItem = Exclude<Item, { kind: 'text' }>
export type ReadyItem = ClipItem | { kind: 'text'; tokens: TokenizedText; looksLike?: string | undefined }

type Row =
  | { kind: 'text'; length: number; ids: Int32Array }
  | { kind: 'video'; length: number; clip: NativeClip }

/** A video that is open for its windows. */
export interface OpenSegments {
  reader: NativeSegmentReader
  media: Media
}

/** A decoded window that waits to be encoded. `release` frees its place in front of the engine. */
export interface DecodedWindow {
  decoded: NativeDecodedClip
  release: Release
}

export class Pipeline {
  readonly maxBatch: { readonly text: number; readonly video: number }
  readonly #options: PipelineOptions
  readonly #decoders: DecodeGate
  readonly #batchers: Readonly<Record<Row['kind'], Batcher<Row, Float32Array>>>

  constructor(pipelineOptions: PipelineOptions) {
    const { engine, gpu, options, decodeConcurrency } = pipelineOptions
    const { maxVideoBatch, maxTextBatch, videoLanes } = engine.info
    const { batching } = options
    const video = batching.maxVideoBatch ?? ((gpu && maxVideoBatch) || DEFAULT_BATCH)
    const text = batching.maxTextBatch
    this.#options = pipelineOptions
    this.maxBatch = {
      video: Math.min(video, maxVideoBatch || video),
      text: Math.min(text, maxTextBatch || text),
    }
    this.#decoders = new DecodeGate({
      decoders: decodeConcurrency,
      // Room for the clips being decoded, the running batches and one batch that gathers: decoders never run further ahead.
      room: decodeConcurrency + (videoLanes + 1) * this.maxBatch.video,
      queryRoom: decodeConcurrency + this.maxBatch.video,
    })
    this.#batchers = this.#createBatchers()
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

  embed(item: ReadyItem, run: ItemRun): Promise<TextEmbedding | VideoEmbedding> {
    return item.kind === 'text' ? this.#embedText(item, run) : this.#embedClip(item, run)
  }

  async #embedText(item: Extract<ReadyItem, { kind: 'text' }>, run: ItemRun): Promise<TextEmbedding> {
    const { ids, tokens, truncated } = item.tokens
    const { textLengthStep } = this.#options.engine.info
    const length = Math.ceil(tokens / textLengthStep) * textLengthStep
    const embedding = await this.#encode({ kind: 'text', length, ids }, run)
    return { kind: 'text', embedding, tokens, truncated, warnings: textWarnings(item), timings: run.timings }
  }

  async #embedClip(item: ClipItem, run: ItemRun): Promise<VideoEmbedding> {
    const memory = run.lease.openMemory()
    try {
      const { media, borrowed } = await this.#read(item, memory, run)
      const { binding } = this.#options
      const start = () => {
        const backlog = run.priority === 'bulk' ? this.#decoders.waiting : 0
        return binding.decodeClip(borrowed ? copyMedia(media) : media, this.#clipOptions(item, backlog))
      }
      const { decoded, release } = await reportCrash(this.#decode(start, run), media)
      return this.encodeClip(decoded, item.kind, run).finally(release)
    } finally {
      memory.release()
    }
  }

  /** Decodes the frames and the clip of a video without encoding them, always into host memory. */
  async frames(item: VideoItem, keepImages: boolean, run: ItemRun): Promise<ExtractedFrames> {
    const memory = run.lease.openMemory()
    try {
      const { media, borrowed } = await this.#read(item, memory, run)
      const { gpu: _, ...options } = this.#clipOptions(item)
      const start = () =>
        this.#options.binding.decodeClip(borrowed ? copyMedia(media) : media, { ...options, keepImages })
      const { decoded, release } = await reportCrash(this.#decode(start, run), media)
      release()
      return toExtractedFrames(decoded)
    } finally {
      memory.release()
    }
  }

  /** Opens a video for all its windows. The caller closes its reader. */
  async openSegments(item: VideoItem, windows: NativeWindows, run: ItemRun): Promise<OpenSegments> {
    const { binding } = this.#options
    // Fetched bytes are held until the pass ends and releases the lease.
    const { media, borrowed } = await this.#read(item, run.lease.openMemory(), run)
    if ('images' in media) throw new InternalError('a video was read as pictures: this is a bug')
    const open = () =>
      // No backlog: all windows are decoded where the first is, long after the clips that wait now.
      binding.openSegments(borrowed ? copyMedia(media) : media, this.#clipOptions(item), windows)
    const { decoded: reader, release } = await reportCrash(this.#decode(open, run), media)
    release()
    return { reader, media }
  }

  /** Decodes the next window. Resolves to null after the last one. */
  async nextClip({ reader, media }: OpenSegments, run: ItemRun): Promise<DecodedWindow | null> {
    const { decoded, release } = await reportCrash(
      this.#decode(() => reader.next(), run),
      media,
    )
    if (decoded) return { decoded, release }
    release()
    return null
  }

  /** Encodes a clip. Takes ownership of the clip and releases it in any case. */
  async encodeClip(
    decoded: NativeDecodedClip,
    kind: VideoEmbedding['kind'],
    run: ItemRun,
  ): Promise<VideoEmbedding> {
    const { clip, frames } = decoded
    const { warnings, openMs, waitMs, decodeMs, convertMs, ...media } = decoded.report
    const { timings } = run
    timings.open += openMs
    timings.queue += waitMs
    timings.decode += decodeMs
    timings.convert += convertMs
    try {
      run.stageDone('decode')
      const embedding = await this.#encode({ kind: 'video', length: clip.frames, clip }, run)
      return { kind, embedding, frames, media, warnings: mediaWarnings(warnings), timings }
    } finally {
      clip.release()
    }
  }

  async #read(
    item: ClipItem,
    memory: MemoryReservation,
    run: ItemRun,
  ): Promise<{ media: Media; borrowed?: true | undefined }> {
    const { sources } = this.#options
    const { signal, priority, timings } = run
    const started = performance.now()
    let slotWaitMs = 0
    const reading = {
      signal,
      priority,
      reserve: (bytes: number) => memory.grow(bytes, signal),
      onSlotWait: (milliseconds: number) => {
        slotWaitMs = Math.max(slotWaitMs, milliseconds)
      },
    }
    const resolved =
      item.kind === 'video'
        ? await sources.video(item.source, reading)
        : await sources.frames(item.frames, reading)
    if (isFetched(item)) {
      timings.queue += slotWaitMs
      timings.download += performance.now() - started - slotWaitMs
      run.stageDone('download')
    }
    const { borrowed } = resolved
    if ('media' in resolved) return { media: resolved.media, borrowed }
    const { images } = resolved
    const copies = item.kind === 'frames' ? item.copies : undefined
    // A single picture is read once and stands for all frames.
    const all =
      copies === undefined ? images : Array.from({ length: copies }, () => images[0] as NativeStillImage)
    return { media: { images: all }, borrowed }
  }

  /** Runs a decode job once there are a decoder and room in front of the engine. The caller releases the room. */
  async #decode<T>(start: () => NativeJob<T>, run: ItemRun): Promise<{ decoded: T; release: Release }> {
    const requested = performance.now()
    const pass = await this.#decoders.acquire(run.priority, run.signal)
    run.timings.queue += performance.now() - requested
    const { gpu, options } = this.#options
    let [ended, failed] = [false, false]
    try {
      const decoded = await runDecode(start, run.signal, {
        // On a GPU only the decoder can measure the time, because waiting for NVDEC does not count.
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
      // A decoder that has not stopped yet is still busy, so it keeps its place until it ends.
      if (ended) pass.release()
      throw error
    }
  }

  #clipOptions(item: ClipItem, backlog = 0): NativeClipOptions {
    const { engine, gpu, decoders, options } = this.#options
    const { frames, height, width } = engine.info
    const alone = this.#decoders.running === 1 && this.#decoders.waiting === 0
    const range: Partial<VideoItem> = item.kind === 'video' ? item : { frameRule: 'card' }
    const { start, end, frameRule = options.frameRule, frameTolerance } = range
    return {
      frames,
      height,
      width,
      // One thread per clip has the least overhead. A clip that is decoded alone uses the idle cores.
      threads: alone ? options.decode.threads : 1,
      limits: options.decode.limits,
      ...(decoders !== undefined && { decoders }),
      ...(gpu !== undefined && { gpu, backlog }),
      ...(start !== undefined && { start }),
      ...(end !== undefined && { end }),
      ...(frameRule !== 'card' && { frameRule }),
      ...(frameTolerance !== undefined && { frameTolerance }),
    }
  }

  async #encode(row: Row, run: ItemRun): Promise<Float32Array> {
    const batcher = this.#batchers[row.kind]
    const { result, queueMs, runMs } = await batcher.submit(row, run.priority, run.signal)
    run.timings.queue += queueMs
    run.timings.encode += runMs
    run.stageDone('encode')
    return result
  }

  /**
   * On a GPU each tower has lanes of its own, so that texts do not wait for videos. On the CPU a batch of videos has all
   * cores for itself, and batches of texts run beside each other.
   */
  #createBatchers() {
    const { engine, gpu, options } = this.#options
    const device = gpu ? 'gpu' : 'cpu'
    const text = {
      budget: options.batching.maxTextTokens ?? TEXT_TOKENS[device],
      batchCost: BATCH_COST[device],
    }
    const createBatcher = (lanes: number, alone: Row['kind'][] = []) =>
      new Batcher<Row, Float32Array>({
        maxBatch: this.maxBatch,
        padding: { text },
        maxDelayMs: options.batching.maxQueueDelayMs,
        lanes,
        alone,
        run: (rows, signal) => this.#runBatch(rows, signal),
      })
    const { videoLanes, textLanes } = engine.info
    if (gpu) return { video: createBatcher(videoLanes), text: createBatcher(textLanes) }
    const shared = createBatcher(textLanes, ['video'])
    return { video: shared, text: shared }
  }

  async #runBatch(rows: readonly Row[], signal: AbortSignal): Promise<Float32Array[]> {
    const { engine, stats } = this.#options
    const texts = rows.flatMap((row) => (row.kind === 'text' ? [row.ids] : []))
    const clips = rows.flatMap((row) => (row.kind === 'video' ? [row.clip] : []))
    const started = performance.now()
    const vectors = await runNative(
      () => (texts.length > 0 ? engine.encodeText(texts) : engine.encodeVideo(clips)),
      signal,
    )
    stats.batchEnded(texts.length > 0 ? 'text' : 'video', rows.length, performance.now() - started)
    const { embeddingDim } = engine.info
    if (vectors.length !== rows.length * embeddingDim) {
      throw new InternalError(
        `a batch of ${rows.length} returned ${vectors.length} floats, not ${rows.length} × ${embeddingDim}: this is a bug`,
      )
    }
    // Copies, because the addon's arrays may belong to another realm, as in Jest.
    return rows.map((_, i) => new Float32Array(vectors.subarray(i * embeddingDim, (i + 1) * embeddingDim)))
  }
}

/** Whether the item's bytes are read into memory first. Video files are read while they are decoded. */
function isFetched(item: ClipItem): boolean {
  if (item.kind === 'video') return ['url', 'stream', 'blob'].includes(item.source.type)
  return item.frames.some(({ type }) => type === 'url' || type === 'path' || type === 'blob')
}
