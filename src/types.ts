/** What goes into and comes out of an {@link Embedder}. Times are in seconds in media and in milliseconds in `timings`. */

import type { RgbImage } from '#binding'
import type { CosmosEmbedError } from './errors.ts'
import type { EmbedderInfo, EmbedderStats, EmbedderStatus } from './info-types.ts'
import type { FrameRule, NamedFrameRule } from './request/frame-rule.ts'
import type {
  EmbedRequest,
  FramesInput,
  ItemInput,
  Picture,
  TextInput,
  VideoInput,
} from './request/schema.ts'
import type { Priority } from './schedule/priority-queue.ts'

export type * from './info-types.ts'
export type { FrameRule, NamedFrameRule } from './request/frame-rule.ts'
export type {
  EmbedRequest,
  EncodingFormat,
  FramesInput,
  ItemInput,
  Picture,
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
  /** What the caller knows it by. */
  key: unknown
}

export interface CallOptions {
  /** Its `reason` is what the call rejects with, at whatever stage the abort finds it. */
  signal?: AbortSignal | undefined
  /**
   * When so much is in flight that the limits leave no room: `wait` for it, or `refuse` with OverloadedError, as a
   * server does whose clients can come back. Default `wait`.
   */
  whenFull?: 'wait' | 'refuse' | undefined
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

export interface EmbedStreamOptions extends EmbedManyOptions {
  /**
   * Items that are held at one time, from when one is read from the source until its result is taken; at least 1.
   * Default 64. What is embedded at one time, `limits.maxItemsInFlight` bounds besides.
   */
  concurrency?: number | undefined
  /**
   * Results in the order of the items, so that a slow one holds back those behind it. Default false: each as soon as it
   * is there.
   */
  ordered?: boolean | undefined
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

export interface FramesOptions extends VideoOptions {
  /** Also the frames at their own size, which are large. Default true. */
  images?: boolean | undefined
}

export interface SegmentOptions extends VideoOptions {
  /** Of each segment by itself. A part of a video is a clip of its own: its clock begins with its first frame. */
  frameRule?: NamedFrameRule | undefined
  /** Length of a segment, > 0. */
  windowSeconds: number
  /** Distance between the starts of two segments, > 0. Default: `windowSeconds`. */
  strideSeconds?: number | undefined
}

export type WarningCode =
  /** The file is damaged, or says of itself what is not so; the clip was made from what decodes. */
  | 'media'
  /** The text was longer than the model takes, and was cut. */
  | 'text_truncated'
  /** The text is a URL or the name of a media file. It was embedded as the text that it is. */
  | 'text_looks_like_media'

/** The vector is there, but something about the input should be known. */
export interface Warning {
  code: WarningCode
  /** For people. */
  message: string
}

export interface RequestWarning extends Warning {
  /** Of the item in the request. */
  index: number
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
  warnings: RequestWarning[]
  timings: Timings
}

export interface TextEmbedding {
  kind: 'text'
  /** Unit length, `info().model.embeddingDim` floats. */
  embedding: Float32Array
  /** Real tokens that were embedded, without padding. */
  tokens: number
  /** Whether the text was longer than the model takes, and was cut. */
  truncated: boolean
  warnings: Warning[]
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
  kind: 'video' | 'frames'
  /** Unit length, `info().model.embeddingDim` floats. */
  embedding: Float32Array
  /** The frames that were embedded, in order; a short video repeats some. */
  frames: FrameInfo[]
  media: MediaReport
  warnings: Warning[]
  timings: Timings
}

export interface Segment extends VideoEmbedding {
  /** Seconds from the first displayed frame of the video. */
  start: number
  end: number
}

export interface ExtractedFrames {
  /** As many as the model takes, in order; a short video repeats some. */
  frames: FrameInfo[]
  /** As `frames`, at the size of the displayed picture; none with `images: false`. */
  images: RgbImage[]
  /** uint8, planar [T, 3, R, R]: exactly what the model is given. */
  clip: Uint8Array
  media: MediaReport
  warnings: Warning[]
}

/** What an item becomes. */
export type ResultOf<I extends ItemInput> = I extends TextInput ? TextEmbedding : VideoEmbedding

/** What the caller knows an item by. */
export type KeyOf<I extends ItemInput> = I extends { key: infer Key } ? Key : undefined

/**
 * As of `Promise.allSettled`: one bad item does not lose the others. `key` is the item's, `index` its position in the
 * list.
 */
export type Settled<I extends ItemInput = ItemInput> =
  | { status: 'fulfilled'; index: number; key: KeyOf<I>; value: ResultOf<I> }
  | { status: 'rejected'; index: number; key: KeyOf<I>; reason: CosmosEmbedError }

/** One label of `classify`. */
export interface LabelScore {
  label: string
  /** Cosine similarity to the video, −1 to 1. */
  score: number
}

export type ItemKind = 'text' | 'video' | 'frames'

/** One item that ended, for metrics: what `observe` and the diagnostics channel `cosmos-embed:item` tell. */
export interface ItemEvent {
  kind: ItemKind
  /** What the caller knows the item by, if it was given a `key`. */
  key?: unknown
  priority: Priority
  outcome: 'ok' | 'error' | 'cancelled'
  /** Of the error, when `outcome` is `error`. */
  code?: string
  timings: Timings
}

export interface DisposeOptions {
  /** Finish what was admitted instead of cancelling it. Default false. */
  drain?: boolean | undefined
}

/**
 * A loaded model with its decoders and queues. Made by `createEmbedder`; safe to share by any number of callers.
 *
 * Whatever a call rejects with is a CosmosEmbedError, except what is the caller's own: the reason of their signal, and
 * what their iterable or their `onProgress` throws.
 */
export interface Embedder extends AsyncDisposable {
  /**
   * The documented request: `query`, `bulk_text` or `bulk_video`, up to 64 items, all or nothing.
   * An error that belongs to one item carries its `index`.
   */
  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  /** The text is taken as it is, whatever it looks like. */
  embedText(text: string, options?: ItemOptions): Promise<TextEmbedding>
  /** Of pictures, `{ frames }`, there is no range: `start`, `end` and `frameTolerance` are refused. */
  embedVideo(video: Video | FramesInput, options?: VideoOptions): Promise<VideoEmbedding>
  /** One picture, as the video in which nothing moves. */
  embedImage(image: Picture, options?: ItemOptions): Promise<VideoEmbedding>
  /**
   * {@link Embedder.embedStream}, collected: the results in the order of the items. One bad item does not lose the
   * others. Rejects only on abort, on dispose, when the device is lost, and when the iterable itself or `onProgress`
   * throws.
   */
  embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedManyOptions,
  ): Promise<Settled<I>[]>
  /**
   * A list of any length in constant memory: each result as soon as it is there. The source is read no faster than
   * results are taken, `concurrency` items ahead. One bad item does not lose the others. Leaving the loop, or the
   * signal, stops what is under way and the source. Rejects as `embedMany` does; what was not taken by then is lost.
   */
  embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedStreamOptions,
  ): AsyncIterableIterator<Settled<I>>
  /**
   * One pass over one video, one vector per window, in order; the next window is decoded while the former is
   * encoded. Leaving the loop closes the video.
   */
  segments(video: Video, options: SegmentOptions): AsyncIterableIterator<Segment>
  /** The frames that embedding `video` with the same options would use, and the clip that the model would be given. */
  frames(video: Video, options?: FramesOptions): Promise<ExtractedFrames>
  /** The labels by how well they fit the video, best first. */
  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options?: ItemOptions,
  ): Promise<LabelScore[]>
  info(): EmbedderInfo
  /** Whether calls are taken. Not any more after `dispose`, nor after the first DeviceLostError. */
  status(): EmbedderStatus
  stats(): EmbedderStats
  /** Calls `listener` for every item that ends. Returns the function that stops it. */
  observe(listener: (event: ItemEvent) => void): () => void
  /**
   * Stops admitting, cancels (or with `drain` finishes) what runs, frees the model. Idempotent: every call waits
   * for the same end, and a later one without `drain` cancels what an earlier one with it is waiting for.
   *
   * Whatever is being decoded ends within five seconds of being cancelled or of `decode.limits.maxWallSeconds`, or is no
   * longer waited for.
   *
   * Of a loop over `segments` or `embedStream`, draining finishes the result that is being waited for; the next turn of the
   * loop rejects with ClosedError, so that a loop which was abandoned keeps nothing open.
   */
  dispose(options?: DisposeOptions): Promise<void>
}
