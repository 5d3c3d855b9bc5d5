/** What an embedder returns. Positions in media are in seconds, `timings` in milliseconds. */
import type { RgbImage } from '#binding'
import type { CosmosEmbedError } from './errors.ts'
import type { ItemInput, TextInput } from './request/schema.ts'

/** Milliseconds per stage. In a result that covers many items, the stages are sums over them and `total` is wall time. */
export interface Timings {
  /** Reading a URL, a stream or a Blob into memory. */
  download: number
  /** Opening and probing the container and building the frame index. */
  open: number
  /** Demuxing and decoding. */
  decode: number
  /** Converting to RGB, rotating and resizing. */
  convert: number
  /** Waiting for a download slot, a decoder, NVDEC, room in front of the engine, or the start of a batch. */
  queue: number
  /** The batch that held the item, from its start to its end. */
  encode: number
  /** From the call to its result. */
  total: number
}

/**
 * What a {@link Warning} is about.
 *
 * - `media`: the file is damaged or contradicts its own headers. The clip was made from the frames that decode.
 * - `text_truncated`: the text was longer than the model accepts and was cut.
 * - `text_looks_like_media`: the text is a URL or the name of a media file. It was embedded as text.
 */
export type WarningCode = 'media' | 'text_truncated' | 'text_looks_like_media'

/** A remark about an input that was embedded nonetheless. */
export interface Warning {
  code: WarningCode
  /** For people. The wording may change between versions. */
  message: string
}

/** A {@link Warning} about one item of a request. */
export interface RequestWarning extends Warning {
  /** Position of the item in the request. */
  index: number
}

/** The `usage` of an {@link EmbedResponse}. */
export interface Usage {
  /** Items that were videos or lists of pictures. */
  num_videos: number
  /** Tokens of all texts, without padding. */
  prompt_tokens: number
  /** Equal to `prompt_tokens`: an embedding model generates none. */
  total_tokens: number
}

/** A vector: floats, or with `encoding_format: 'base64'` the base64 text of little-endian float32. */
export type Vector = Float32Array | string

/** One vector of an {@link EmbedResponse}. */
export interface EmbeddingObject<V extends Vector = Vector> {
  object: 'embedding'
  /** Position of the input in the request. */
  index: number
  /** Unit length, `info().model.embeddingDim` numbers. */
  embedding: V
}

/** The documented answer to an `EmbedRequest`. */
export interface EmbedResponse<V extends Vector = Vector> {
  object: 'list'
  /** One per input, in the order of the inputs. */
  data: EmbeddingObject<V>[]
  /** Id of the loaded model, whichever of its served names the request used. */
  model: string
  usage: Usage
  warnings: RequestWarning[]
  timings: Timings
}

/** The vector of a text. */
export interface TextEmbedding {
  kind: 'text'
  /** Unit length, `info().model.embeddingDim` floats. */
  embedding: Float32Array
  /** Tokens that were embedded, without padding. */
  tokens: number
  /** Whether the text was longer than the model accepts and was cut. */
  truncated: boolean
  warnings: Warning[]
  timings: Timings
}

/** One frame of a clip. */
export interface FrameInfo {
  /** Number of the frame among the displayable frames of the range, in presentation order, from 0. */
  index: number
  /** Seconds on the same timeline as `start`. */
  pts: number
  keyframe: boolean
}

/** What was found in the media, and what reading it took. */
export interface MediaReport {
  container: string
  codec: string
  pixelFormat: string
  decoder: 'software' | 'nvdec' | 'image'
  /** On a GPU, why a part of the clip was not decoded by NVDEC. Empty when all of it was, and on the CPU. */
  decoderReason: string
  /** Width of the displayed picture in pixels, after rotation. */
  width: number
  /** Height of the displayed picture in pixels, after rotation. */
  height: number
  /** Degrees clockwise that were applied: 0, 90, 180 or 270. */
  rotation: number
  /** Seconds of the whole video where that is known, otherwise of the range. */
  duration: number
  /** Displayable frames in the range. */
  frameCount: number
  /** Pictures that the decoder was asked for. */
  decoded: number
  /** Packets that were skipped because no picture of the clip needs theirs. */
  discarded: number
  seeks: number
  bytesRead: number
  /**
   * Frames of the clip that differ from what was recorded: another frame replaces one that could not be decoded, the
   * decoder concealed errors, or the frame was predicted from a damaged one. When it is above 0, a warning says which.
   */
  damaged: number
}

/** The vector of a video, of a list of pictures, or of one picture. */
export interface VideoEmbedding {
  /** `frames` for a list of pictures and for one picture. */
  kind: 'video' | 'frames'
  /** Unit length, `info().model.embeddingDim` floats. */
  embedding: Float32Array
  /** The `info().model.frames` frames that were embedded, in order. A short video repeats some of them. */
  frames: FrameInfo[]
  media: MediaReport
  warnings: Warning[]
  timings: Timings
}

/** The vector of one window or shot of a video. */
export interface Segment extends VideoEmbedding {
  /** Start of the segment, in seconds from the first displayed frame of the video. */
  start: number
  /** End of the segment. The last one may end early, with the video or with the range. */
  end: number
}

/** The vector of one window of a live stream. Its times are seconds from the first picture of the stream that can be shown. */
export interface LiveSegment extends Segment {
  /** Seconds from when the window's last picture had been received until its vector was ready. */
  lagSeconds: number
  /** Windows without a vector since the last one that was yielded. */
  dropped: number
  /** Whether the format or the clock of the stream changed right before this window. No window lies on both sides. */
  discontinuity: boolean
}

/** What `frames` returns: the input of the model, for looking at. */
export interface ExtractedFrames {
  /** As many as the model takes, T, in order. A short video repeats some of them. */
  frames: FrameInfo[]
  /** The pictures of `frames` in RGB at the displayed size of the video; empty with `images: false`. */
  images: RgbImage[]
  /** The pixels that the model is given: uint8, planar, `[T, 3, height, width]`. */
  clip: Uint8Array
  media: MediaReport
  warnings: Warning[]
}

/** The type of result of an item. */
export type ResultOf<I extends ItemInput> = I extends TextInput ? TextEmbedding : VideoEmbedding

/** The type of an item's `key`, which is `undefined` for an item without one. */
export type KeyOf<I extends ItemInput> = I extends { key: infer Key }
  ? Key
  : I extends { key?: infer Key }
    ? Key | undefined
    : undefined

/**
 * The outcome of one item, in the form of `Promise.allSettled`. `key` is the item's own, `index` is its position in the
 * list, and `reason` carries the same `index`.
 */
export type Settled<I extends ItemInput = ItemInput> =
  | { status: 'fulfilled'; index: number; key: KeyOf<I>; value: ResultOf<I> }
  | { status: 'rejected'; index: number; key: KeyOf<I>; reason: CosmosEmbedError }

/** One label of `classify` with its score. */
export interface LabelScore {
  label: string
  /** Cosine similarity to the video, −1 to 1. */
  score: number
}
