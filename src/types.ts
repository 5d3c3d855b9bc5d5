/** What goes into and comes out of an {@link Embedder}. Times are in seconds in media and in milliseconds in `timings`. */

import type { NativeGpuStats, NativeNvdecCapability } from '#binding'
import type { Precision } from './options.ts'
import type { FrameRule, NamedFrameRule } from './request/frame-rule.ts'
import type { EmbedRequest, FramesInput, ItemInput, VideoInput } from './request/schema.ts'
import type { Priority } from './schedule/priority-queue.ts'
import type { Limits } from './source/limits.ts'
import type { UrlPolicy } from './source/url-policy.ts'

export type { FrameRule, NamedFrameRule } from './request/frame-rule.ts'
export type {
  EmbedRequest,
  EncodingFormat,
  FramesInput,
  ItemInput,
  RequestType,
  TextInput,
  VideoInput,
  WireRequest,
} from './request/schema.ts'
export type { Priority } from './schedule/priority-queue.ts'

export type FloatRequest = EmbedRequest & { encoding_format?: 'float' | undefined }
export type Base64Request = EmbedRequest & { encoding_format: 'base64' }

/**
 * A string is a path; a URL is `file:` or fetched under the `urls` policy.
 *
 * Bytes are copied when their turn comes to be decoded, and only then: leave them alone until the call has settled.
 * Whatever is done to them after that moment, a transfer of their buffer too, has no influence. Where the buffer was
 * transferred before it, the call rejects with SourceError. A path or a stream spares the copy.
 */
export type Video = VideoInput['video']

/** Milliseconds per stage. Where a result holds many items the stages are sums over them; `total` is wall time. */
export interface Timings {
  /** Reading a URL or a stream into memory. */
  download: number
  /** Container: open, probe, frame index. */
  open: number
  /** Demux and decode. */
  decode: number
  /** To RGB, rotate, resize. */
  convert: number
  /** Waiting: for a decoder, for NVDEC, for room in front of the engine, for the batch to start. */
  queue: number
  /** The batch that held the item, from start to answer. */
  encode: number
  /** From call to answer. */
  total: number
}

export type ProgressStage = 'download' | 'decode' | 'encode'

export interface Progress {
  /** Texts are only encoded; only URLs and streams are downloaded. */
  stage: ProgressStage
  /** Items of this call that have finished the stage. */
  done: number
  /** Items of this call, as far as known: an async iterable is counted as it is read. */
  total: number
  /** The item that has just finished the stage. */
  index: number
}

export interface CallOptions {
  /** Its `reason` is what the call rejects with, at whatever stage the abort finds it. */
  signal?: AbortSignal | undefined
}

export interface ItemOptions extends CallOptions {
  /** `query` overtakes `bulk` at every queue. Default: `query` for single items, `bulk` for lists and segments. */
  priority?: Priority | undefined
}

export interface EmbedOptions extends CallOptions {
  onProgress?: ((progress: Progress) => void) | undefined
}

export interface EmbedManyOptions extends ItemOptions {
  onProgress?: ((progress: Progress) => void) | undefined
}

export interface VideoOptions extends ItemOptions {
  /** Seconds from the first displayed frame. Default 0. */
  start?: number | undefined
  /** Seconds; default: to the end. */
  end?: number | undefined
  /** Which frames. Default: the embedder's rule. Vectors of different rules do not belong in one index. */
  frameRule?: FrameRule | undefined
  /**
   * Seconds that a wanted frame may move to one that is cheaper to decode. Default 0: exactly the documented frames.
   */
  frameTolerance?: number | undefined
}

export interface SegmentOptions extends VideoOptions {
  /** Of each segment by itself. A part of a video is a clip of its own: its clock begins with its first frame. */
  frameRule?: NamedFrameRule | undefined
  /** Length of a segment, > 0. */
  windowSeconds: number
  /** Distance between the starts of two segments, > 0. Default: `windowSeconds`. */
  strideSeconds?: number | undefined
}

export interface Warning {
  /** Of the item in the request. */
  index: number
  message: string
}

export interface Usage {
  num_videos: number
  /** Real tokens, without padding. */
  prompt_tokens: number
  total_tokens: number
}

/** How vectors come: a string is base64 of little-endian float32, for `encoding_format: 'base64'`. */
export type Vector = Float32Array | string

export interface EmbeddingObject<V extends Vector = Vector> {
  object: 'embedding'
  index: number
  /** Unit length. */
  embedding: V
}

export interface EmbedResponse<V extends Vector = Vector> {
  object: 'list'
  /** One per input, in the order of the inputs. */
  data: EmbeddingObject<V>[]
  /** Id of the model that answered. */
  model: string
  usage: Usage
  warnings: Warning[]
  timings: Timings
}

export interface TextEmbedding {
  /** Unit length, `info().model.embeddingDim` floats. */
  embedding: Float32Array
  /** Real tokens that were embedded, without padding. */
  tokens: number
  /** Whether the text was longer than the model takes, and was cut. */
  truncated: boolean
  timings: Timings
}

export interface FrameInfo {
  /** Among the displayable frames of the range, in presentation order. */
  index: number
  /** Seconds on the same timeline as `start`. */
  pts: number
  keyframe: boolean
}

/** What the media was found to be and what reading it took. */
export interface MediaReport {
  container: string
  codec: string
  pixelFormat: string
  decoder: 'software' | 'nvdec' | 'image'
  /** On a GPU: why part of the clip was not decoded by NVDEC; else "". */
  decoderReason: string
  /** Of the displayed picture, after rotation. */
  width: number
  height: number
  /** Degrees clockwise that were applied: 0, 90, 180 or 270. */
  rotation: number
  /** Seconds, of the whole video where known, else of the range. */
  duration: number
  /** Displayable frames in the range. */
  frameCount: number
  /** Pictures that the decoder was asked for. */
  decoded: number
  /** Packets that were skipped as unwanted non-reference pictures. */
  discarded: number
  seeks: number
  bytesRead: number
  /**
   * Frames of the clip that are not what was recorded: another stands in for one that could not be decoded, the decoder
   * patched it up, or it was predicted from one that is damaged. More than 0 comes with a warning that says which.
   */
  damaged: number
}

export interface VideoEmbedding {
  /** Unit length, `info().model.embeddingDim` floats. */
  embedding: Float32Array
  /** The frames that were embedded, in order; a short video repeats some. */
  frames: FrameInfo[]
  media: MediaReport
  /** E.g. that the file is damaged and the clip was made from what decodes. */
  warnings: string[]
  timings: Timings
}

export interface Segment extends VideoEmbedding {
  /** Seconds from the first displayed frame of the video. */
  start: number
  end: number
}

/** As `Promise.allSettled`: one bad item does not lose the others. */
export type Settled =
  | { status: 'fulfilled'; value: TextEmbedding | VideoEmbedding }
  | { status: 'rejected'; reason: unknown }

export type ItemKind = 'text' | 'video' | 'frames'

/** One item that ended, for metrics. */
export interface ItemEvent {
  kind: ItemKind
  priority: Priority
  outcome: 'ok' | 'error' | 'cancelled'
  /** Of the error, when `outcome` is `error`. */
  code?: string
  timings: Timings
}

/** Of the last 1024 samples, in milliseconds; `count` and `sum` since the start. */
export interface LatencySummary {
  count: number
  sum: number
  p50: number
  p95: number
  p99: number
  max: number
}

export interface EmbedderStats {
  uptimeSeconds: number
  /**
   * Calls: `embed`, `embedText`, `embedVideo`, `embedMany`, `segments`. `rejected`: OverloadedError;
   * `cancelled`: by the caller's signal or by dispose.
   */
  requests: { total: number; succeeded: number; failed: number; cancelled: number; rejected: number }
  /** Items that became vectors; each segment counts as a video. */
  items: Record<ItemKind, number>
  /** Failed items by error code. */
  errors: Record<string, number>
  /** Items that were cancelled. */
  cancelled: number
  /** Tokens that were embedded, without padding. */
  tokens: number
  inFlight: { items: number; bytes: number; requests: number }
  /** Items that wait in front of each stage, and that are in it. */
  queues: Record<ProgressStage, { waiting: number; running: number }>
  /** One entry per GPU: clips by the decoder that made them, and what is going on in NVDEC. */
  gpus: GpuStats[]
  /** Batches that the engine answered, and how many there were of each size. */
  batches: Record<'text' | 'video', { count: number; items: number; sizes: Record<number, number> }>
  stages: Record<keyof Timings, LatencySummary>
}

/** By number, among the GPUs that CUDA_VISIBLE_DEVICES leaves. */
export interface GpuStats extends NativeGpuStats {
  device: number
}

/** A TensorRT engine that is in use, and where it comes from. */
export interface EngineFacts {
  /** Of the plan's file. */
  path: string
  precision: Precision
  maxBatch: number
  /** What it was built with: GPU, newest CUDA of its driver, TensorRT. */
  built: { at: string; gpu: string; driver: string; tensorrt: string }
}

export interface GpuFacts {
  /** Among those that CUDA_VISIBLE_DEVICES leaves. */
  device: number
  name: string
  uuid: string
  /** E.g. "9.0". */
  computeCapability: string
  memoryBytes: number
  engines: { video: EngineFacts; text: EngineFacts }
  nvdec: {
    /** Of the card; 0 when NVDEC is not used. */
    engines: number
    /** Why it is not used, or "". */
    reason: string
    /** What it was asked about and what it can. */
    capabilities: NativeNvdecCapability[]
  }
}

export interface CpuDevice {
  kind: 'cpu'
  /** Why this device: what was asked for, what was found, and what would make a GPU usable. */
  reason: string
}

export interface CudaDevice {
  kind: 'cuda'
  reason: string
  /** `version` is the newest CUDA that the driver serves. */
  driver: { version: string; library: string }
  gpus: GpuFacts[]
}

/** `device_lost`: start a new process, this one cannot use its GPU again. `closed`: `dispose` was called. */
export type EmbedderStatus =
  | { ready: true }
  | { ready: false; code: 'device_lost' | 'closed'; reason: string }

export interface EmbedderInfo {
  /** Version of this package. */
  version: string
  device: CpuDevice | CudaDevice
  model: {
    id: string
    /** Names that a request's `model` may have. */
    servedNames: string[]
    variant: string
    /** Folder of the bundle. */
    path: string
    /** Of one clip. */
    frames: number
    height: number
    width: number
    embeddingDim: number
    maxTextTokens: number
    license: { name: string; path?: string | undefined; url?: string | undefined }
    /** Which frames of a video the model is given, unless a call says otherwise. */
    frameRule: NamedFrameRule
    /**
     * Changes when any file of the bundle does, and with the frame rule: what a cache of vectors must be keyed by. A
     * call's own `frameRule`, `frameTolerance`, `start` and `end` belong beside it in the key.
     */
    fingerprint: string
  }
  engine: { backend: string; version: string; library: string }
  addon: { version: string; simd: string; ffmpeg: { avcodec: string; avformat: string; license: string } }
  limits: {
    /** In flight, over all calls. */
    items: number
    bytes: number
    /** Over all devices. */
    decodeConcurrency: number
    /** Of one device. */
    maxVideoBatch: number
    maxTextBatch: number
    /** Of what comes in. */
    input: Limits
  }
  urls: UrlPolicy
}

export interface DisposeOptions {
  /** Finish what was admitted instead of cancelling it. Default false. */
  drain?: boolean | undefined
}

/** A loaded model with its decoders and queues. Made by `createEmbedder`; safe to share by any number of callers. */
export interface Embedder extends AsyncDisposable {
  /**
   * The documented request: `query`, `bulk_text` or `bulk_video`, up to 64 items, all or nothing.
   * An error that belongs to one item carries its `index`.
   */
  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  embedText(text: string, options?: ItemOptions): Promise<TextEmbedding>
  embedVideo(video: Video | FramesInput, options?: VideoOptions): Promise<VideoEmbedding>
  /**
   * A list of any length; results in its order. One bad item does not lose the others. Over the admission limits
   * it waits instead of failing, since it is one caller with a long list. Rejects only on abort, on dispose,
   * when the device is lost, and when the iterable itself throws.
   */
  embedMany(
    items: Iterable<ItemInput> | AsyncIterable<ItemInput>,
    options?: EmbedManyOptions,
  ): Promise<Settled[]>
  /**
   * One pass over one video, one vector per window, in order; the next window is decoded while the former is
   * encoded. Leaving the loop closes the video. Waits over the admission limits, as `embedMany` does.
   */
  segments(video: Video, options: SegmentOptions): AsyncIterableIterator<Segment>
  info(): EmbedderInfo
  /** Whether calls are taken. Not any more after `dispose`, nor after the first DeviceLostError. */
  status(): EmbedderStatus
  stats(): EmbedderStats
  /** Calls `listener` for every item that ends. Returns the function that stops it. */
  observe(listener: (event: ItemEvent) => void): () => void
  /**
   * Stops admitting, cancels (or with `drain` finishes) what runs, frees the model. Idempotent: every call waits
   * for the same end, and a later one without `drain` cancels what an earlier one with it is waiting for.
   */
  dispose(options?: DisposeOptions): Promise<void>
}
