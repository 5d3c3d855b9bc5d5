/** The {@link Embedder} and the options of its calls. */
import type { ItemEvent } from './event-types.ts'
import type { EmbedderInfo, EmbedderStats, EmbedderStatus } from './info-types.ts'
import type { FrameRule, NamedFrameRule } from './request/frame-rule.ts'
import type { EmbedRequest, FramesInput, ItemInput, Picture, VideoInput } from './request/schema.ts'
import type {
  EmbedResponse,
  ExtractedFrames,
  LabelScore,
  Segment,
  Settled,
  TextEmbedding,
  VideoEmbedding,
} from './result-types.ts'
import type { Priority } from './schedule/priority-queue.ts'

export type { RgbImage } from '#binding'
export type * from './event-types.ts'
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
export type * from './result-types.ts'
export type { Priority } from './schedule/priority-queue.ts'
export type { Limits, LimitsInput } from './source/limits.ts'
export type { ByteStream, Bytes } from './source/source.ts'
export type { UrlPolicy, UrlRules } from './source/url-policy.ts'

/** A request whose vectors come as `Float32Array`. */
export type FloatRequest = EmbedRequest & { encoding_format?: 'float' | undefined }
/** A request whose vectors come as base64 of little-endian float32. */
export type Base64Request = EmbedRequest & { encoding_format: 'base64' }

/**
 * A video: a file path, a URL, bytes, a `Blob` or `File`, a stream of bytes, or the `Response` of a `fetch`. A string is
 * always a path. A `URL` is a `file:` URL, or is fetched under the `urls` policy.
 *
 * Bytes are copied right before they are decoded, so leave them unchanged until the call has settled; a buffer that was
 * transferred by then makes the call reject with SourceError. A path or a stream avoids the copy. A stream belongs to the
 * call from the moment it is passed and is closed when the call ends.
 */
export type Video = VideoInput['video']

/** The stages that {@link EmbedOptions.onProgress} reports. */
export type ProgressStage = 'download' | 'decode' | 'encode'

/** One item of a call has finished one stage. */
export interface Progress {
  /** Texts pass only `encode`. Only what is read into memory (URLs, streams, Blobs, files of pictures) passes `download`. */
  stage: ProgressStage
  /** Items of this call that have finished the stage. */
  done: number
  /** Items of this call, as far as known: the count of an async iterable grows as it is read. */
  total: number
  /** Position of the item that has just finished the stage. */
  index: number
  /** The `key` of that item. */
  key: unknown
}

/** Options of every call. */
export interface CallOptions {
  /** Cancels the call at any stage. The call then rejects with `signal.reason` itself. */
  signal?: AbortSignal | undefined
  /**
   * What to do when `limits.maxItemsInFlight` or `limits.maxBytesInFlight` leaves no room: `wait` for it, or `refuse` with
   * OverloadedError, as a server does whose clients can retry. Default `wait`.
   */
  whenFull?: 'wait' | 'refuse' | undefined
}

/** Options of calls for single items. */
export interface ItemOptions extends CallOptions {
  /** `query` overtakes `bulk` in every queue. Default: `query` for single items, `bulk` for lists and segments. */
  priority?: Priority | undefined
}

/** Options of `embed`. Its priority follows from the `request_type`. */
export interface EmbedOptions extends CallOptions {
  /** Called whenever an item has finished a stage. What it throws is what the call rejects with. */
  onProgress?: ((progress: Progress) => void) | undefined
}

/** Options of `embedMany`. */
export interface EmbedManyOptions extends ItemOptions {
  /** Called whenever an item has finished a stage. What it throws is what the call rejects with. */
  onProgress?: ((progress: Progress) => void) | undefined
}

/** Options of `embedStream`. */
export interface EmbedStreamOptions extends EmbedManyOptions {
  /**
   * Items held at one time, each from when it is read until its result is taken; ≥ 1. Default 64. How many of them are
   * embedded at one time is also bounded by `limits.maxItemsInFlight`.
   */
  concurrency?: number | undefined
  /**
   * Whether results come in the order of the items, so that a slow item delays those behind it. Default false: each
   * result comes as soon as it is ready.
   */
  ordered?: boolean | undefined
}

/** Options of `embedVideo`: a range of the video, and which of its frames become the clip. */
export interface VideoOptions extends ItemOptions {
  /** Seconds from the first displayed frame, ≥ 0. Default 0. */
  start?: number | undefined
  /** Seconds from the first displayed frame, > `start`. Default: the end of the video. */
  end?: number | undefined
  /** Which frames the model sees. Default: the embedder's rule. Do not mix vectors of different rules in one index. */
  frameRule?: FrameRule | undefined
  /**
   * Seconds by which a chosen frame may move, within the range, to one that is cheaper to decode, ≥ 0. Default 0: exactly the
   * chosen frames.
   */
  frameTolerance?: number | undefined
}

/** Options of `frames`. */
export interface FramesOptions extends VideoOptions {
  /** Whether to also return the frames at the displayed size of the video, which takes much memory. Default true. */
  images?: boolean | undefined
}

/** What all ways to divide a video into segments have in common. */
export interface SegmentRangeOptions extends VideoOptions {
  /** Applied to each segment as if it were a video of its own. Lists of frames are not accepted. */
  frameRule?: NamedFrameRule | undefined
}

/** Options of `segments` for windows of one length. */
export interface WindowSegmentOptions extends SegmentRangeOptions {
  /** Length of a window in seconds, ≥ 0.001. */
  windowSeconds: number
  /** Seconds between the starts of two windows, ≥ 0.001. Default: `windowSeconds`, without overlaps or gaps. */
  strideSeconds?: number | undefined
  at?: undefined
  shots?: undefined
}

/** Options of `segments` for cuts that the caller knows. */
export interface CutSegmentOptions extends SegmentRangeOptions {
  /**
   * Where segments begin, in ascending seconds from the first displayed frame; at most 100,000. The first segment begins
   * with the range and the last ends with it; times outside the range are ignored.
   */
  at: readonly number[]
  windowSeconds?: undefined
  strideSeconds?: undefined
  shots?: undefined
}

/** Options of `segments` for shots, which are found while the video is decoded. */
export interface ShotSegmentOptions extends SegmentRangeOptions {
  /** `true` is the same as `{}`: shots with the default threshold and minimum length. */
  shots: true | ShotOptions
  windowSeconds?: undefined
  strideSeconds?: undefined
  at?: undefined
}

/** How shots are told apart. */
export interface ShotOptions {
  /**
   * How much a picture differs from the one before where a shot begins: the mean difference of luma plus those of both
   * chroma components, each from 0 to 255. At least 0.001, at most 765. Default 14.
   */
  threshold?: number | undefined
  /** Seconds, ≥ 0. No shot is shorter, and a change that is undone sooner, such as a flash, is no cut. Default 0.5. */
  minSeconds?: number | undefined
}

/** Options of `segments`: exactly one of `windowSeconds`, `at` and `shots` says how the video is divided. */
export type SegmentOptions = WindowSegmentOptions | CutSegmentOptions | ShotSegmentOptions

/** Options of `dispose`. */
export interface DisposeOptions {
  /** Whether to finish the calls in progress instead of cancelling them. Default false. */
  drain?: boolean | undefined
}

/**
 * A loaded model with its decoders and queues, created by `createEmbedder`. Any number of callers may share it.
 *
 * Calls reject with a CosmosEmbedError. What comes from the caller is passed on unchanged: the reason of their
 * signal, and whatever their iterable or their `onProgress` throws.
 */
export interface Embedder extends AsyncDisposable {
  /**
   * Embeds a documented request: `query`, `bulk_text` or `bulk_video`, with up to `limits.maxItems` items (64). All items
   * succeed, or the call rejects; an error caused by one item carries its `index`.
   *
   * ```js
   * const { data } = await embedder.embed({ request_type: 'bulk_text', input: ['a red circle', 'a blue square'] })
   * ```
   */
  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>

  /** Embeds a text. Unlike in `embed`, a data URI is text here. Rejects an empty text with InvalidRequestError. */
  embedText(text: string, options?: ItemOptions): Promise<TextEmbedding>

  /**
   * Embeds a video, or a list of exactly `info().model.frames` pictures. Pictures have no timeline: with them, `start`,
   * `end`, `frameRule` and `frameTolerance` are refused with InvalidArgumentError.
   *
   * ```js
   * const { embedding } = await embedder.embedVideo('clip.mp4', { start: 10, end: 20 })
   * ```
   */
  embedVideo(video: Video | FramesInput, options?: VideoOptions): Promise<VideoEmbedding>

  /** Embeds one picture as a video in which nothing moves. */
  embedImage(image: Picture, options?: ItemOptions): Promise<VideoEmbedding>

  /**
   * Embeds a list and returns the results in its order. Items that fail are reported as `rejected` and do not affect the
   * others. The call itself rejects only on abort, on `dispose`, when the device is lost, and when the iterable or
   * `onProgress` throws.
   *
   * ```js
   * for (const one of await embedder.embedMany([{ video: 'a.mp4', key: 1 }, { text: 'a red car', key: 2 }])) {
   *   if (one.status === 'fulfilled') await save(one.key, one.value.embedding)
   * }
   * ```
   */
  embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedManyOptions,
  ): Promise<Settled<I>[]>

  /**
   * Embeds a list of any length in constant memory and yields each result as soon as it is ready. The source is read at
   * most `concurrency` items ahead of the results that were taken. Items that fail are reported as `rejected`. Leaving the
   * loop, or aborting, cancels the items in progress and closes the source. Rejects in the same cases as `embedMany`;
   * results that were not taken by then are lost.
   *
   * ```js
   * for await (const one of embedder.embedStream(items, { concurrency: 32 })) {
   *   if (one.status === 'rejected') console.error(one.key, one.reason.code)
   * }
   * ```
   */
  embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedStreamOptions,
  ): AsyncIterableIterator<Settled<I>>

  /**
   * Yields one vector per window, per stretch between the cuts that `at` names, or per shot of a video, in order, in one
   * pass over it. The next segment is decoded while the one before is encoded. Each has the vector that `embedVideo` makes
   * of its range. A last window shorter than half of `windowSeconds` is dropped unless it is the only one. Leaving the loop
   * closes the video.
   *
   * ```js
   * for await (const { start, end, embedding } of embedder.segments('long.mkv', { windowSeconds: 8, strideSeconds: 4 })) {
   *   console.log(start, end, embedding.length)
   * }
   * for await (const { start, end } of embedder.segments('film.mp4', { shots: true })) console.log('a shot', start, end)
   * ```
   */
  segments(video: Video, options: SegmentOptions): AsyncIterableIterator<Segment>

  /** Returns the frames that `embedVideo` would use with the same options, and the clip that the model would be given. */
  frames(video: Video, options?: FramesOptions): Promise<ExtractedFrames>

  /**
   * Ranks labels by how well they fit a video, best first. Rejects with InvalidArgumentError when `labels` is empty.
   *
   * ```js
   * const [best] = await embedder.classify('clip.mp4', ['a red car', 'a blue bicycle'])
   * ```
   */
  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options?: ItemOptions,
  ): Promise<LabelScore[]>

  /** The device, the model, its engine and the limits in effect. They do not change. */
  info(): EmbedderInfo

  /** Whether calls are accepted. It turns false for good with `dispose` or with the first DeviceLostError. */
  status(): EmbedderStatus

  /** Counters since the embedder was created, and the queues as they are now. */
  stats(): EmbedderStats

  /** Calls `listener` for every item that ends. Returns a function that removes the listener. */
  observe(listener: (event: ItemEvent) => void): () => void

  /**
   * Stops accepting calls, cancels those in progress (or finishes them with `drain`), and frees the model. Idempotent:
   * every call waits for the same end, and one without `drain` cancels what an earlier one with `drain` waits for.
   *
   * A decoder that does not stop within five seconds of being cancelled, or of `decode.limits.maxWallSeconds`, is no
   * longer waited for.
   *
   * Draining a loop over `segments` or `embedStream` finishes the result that is being waited for. The next turn of the
   * loop then rejects with ClosedError, so that an abandoned loop keeps nothing open.
   */
  dispose(options?: DisposeOptions): Promise<void>
}
