/** What an embedder and a server report while they work: messages of `observe` and of the diagnostics channels. */
import type { Timings } from './result-types.ts'
import type { Priority } from './schedule/priority-queue.ts'

/** The kinds of items: `frames` is a list of pictures, or one picture. */
export type ItemKind = 'text' | 'video' | 'frames'

/** One item has ended. Passed to `observe` listeners and published on the diagnostics channel `cosmos-embed:item`. */
export interface ItemEvent {
  kind: ItemKind
  /** The item's `key`, if it has one. */
  key?: unknown
  priority: Priority
  outcome: 'ok' | 'error' | 'cancelled'
  /** The error's code when `outcome` is `error`. */
  code?: string
  /** For an item that did not succeed, the stages as far as it came. */
  timings: Timings
}

/** The engine has completed a batch. Published on the diagnostics channel `cosmos-embed:batch`. */
export interface BatchEvent {
  kind: 'text' | 'video'
  /** Texts or clips of the batch. */
  size: number
  milliseconds: number
}

/** A call has ended. Published on the diagnostics channel `cosmos-embed:call`. */
export interface CallEvent {
  /** `rejected` ended with OverloadedError, `cancelled` by the caller's signal or by `dispose`. */
  outcome: 'succeeded' | 'failed' | 'cancelled' | 'rejected'
  milliseconds: number
}

/**
 * An embedder was created, has freed its model after `dispose`, or has lost its GPU for good. Published on the diagnostics
 * channel `cosmos-embed:embedder`.
 */
export interface EmbedderEvent {
  state: 'created' | 'closed' | 'device_lost'
  /** Id of the model bundle. */
  model: string
  /** `info().model.fingerprint`. */
  fingerprint: string
  device: 'cpu' | 'cuda'
}

/**
 * A server has answered a request that embeds, or its client is gone. Published on the diagnostics channel
 * `cosmos-embed:request`.
 */
export interface RequestEvent {
  /** `query`, `bulk_text`, `bulk_video` or `segments`; `unknown` when the body was refused before its type was known. */
  requestType: string
  /** HTTP status; 499 when the client was gone. */
  status: number
  /** The error's code, `cancelled` when the client was gone. Undefined when the request succeeded. */
  code?: string
  /** Inputs of the request. */
  inputs: number
  /** Vectors sent. */
  embeddings: number
  milliseconds: number
}

/**
 * The channels of `node:diagnostics_channel` on which every embedder and server of the process publishes, and their
 * messages. Messages hold no text, no media, no path and no vector; only `key` is the caller's own.
 */
export interface DiagnosticsMessages {
  'cosmos-embed:item': ItemEvent
  'cosmos-embed:batch': BatchEvent
  'cosmos-embed:call': CallEvent
  'cosmos-embed:embedder': EmbedderEvent
  'cosmos-embed:request': RequestEvent
}
