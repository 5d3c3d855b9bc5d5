/** From a request to the list of items that it asks to embed. */
import type { Limits } from '../source/limits.ts'
import type { FrameSource, VideoSource } from '../source/source.ts'
import type { EmbedRequest, EncodingFormat, ItemInput, RequestType } from './schema.ts'

export type Item =
  | { kind: 'text'; text: string }
  | { kind: 'video'; source: VideoSource; start?: number; end?: number; frameTolerance?: number }
  | { kind: 'frames'; frames: FrameSource[] }

export interface ParsedRequest {
  requestType: RequestType
  encodingFormat: EncodingFormat
  items: Item[]
}

/** What a request is checked against. */
export interface RequestRules {
  /** The bundle's id and its aliases. */
  models: readonly string[]
  /** Frames of one clip of the model. */
  frames: number
  limits: Limits
}

/**
 * Checks an in-process request by the documented rules and decodes inline media, yielding to the event loop in between.
 * Rejects with InvalidRequestError, RequestTooLargeError or LimitError (`index` says which item), or with `signal.reason`.
 */
export declare function parseRequest(
  request: EmbedRequest,
  rules: RequestRules,
  signal?: AbortSignal,
): Promise<ParsedRequest>

/** The same for a JSON body, where only strings are items and `model` is required. */
export declare function parseWireRequest(
  body: unknown,
  rules: RequestRules,
  signal?: AbortSignal,
): Promise<ParsedRequest>

/** One item by itself, of any kind: what `embedText({text})`, `embedVideo({video})` and `embedMany` need. */
export declare function parseItem(
  input: ItemInput,
  rules: RequestRules,
  options?: { signal?: AbortSignal | undefined; index?: number },
): Promise<Item>

/** Bytes of media that the item already holds in memory. */
export declare function heldBytes(item: Item): number
