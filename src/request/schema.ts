/** The shapes of a request: on the wire (JSON) and in process. */
import type { z } from 'zod'
import type { RgbImage } from '#binding'
import type { ByteStream } from '../source/source.ts'

export type RequestType = 'query' | 'bulk_text' | 'bulk_video'
export type EncodingFormat = 'float' | 'base64'

/** The documented JSON body of `POST /v1/embeddings`. */
export interface WireRequest {
  request_type: RequestType
  input: string | string[]
  model: string
  encoding_format?: EncodingFormat | undefined
}

export interface TextInput {
  text: string
}

export interface VideoInput {
  /** A string is a file path; a URL is `file:`, or fetched under the `urls` policy. */
  video: string | URL | Uint8Array | ByteStream
  /** Seconds from the first displayed frame, ≥ 0. Default 0. */
  start?: number | undefined
  /** Seconds, > start. Default: the end. */
  end?: number | undefined
  /** Seconds that a wanted frame may move to a cheaper one, ≥ 0. Default 0: exactly the chosen frames. */
  frameTolerance?: number | undefined
}

export interface FramesInput {
  /** Pictures, as many as the model takes: file path, JPEG/PNG/WebP bytes, or interleaved RGB. */
  frames: readonly (string | URL | Uint8Array | RgbImage)[]
}

/** A string is text or one of the documented data-URI forms, never a path. */
export type ItemInput = string | TextInput | VideoInput | FramesInput

/** What `embed()` takes: the wire request, with typed items allowed and `model` optional. */
export interface EmbedRequest {
  request_type: RequestType
  input: ItemInput | readonly ItemInput[]
  /** If given, the id of the loaded bundle or one of its aliases. */
  model?: string | undefined
  encoding_format?: EncodingFormat | undefined
}

export declare const wireRequestSchema: z.ZodType<WireRequest>
