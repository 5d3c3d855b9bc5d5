/** The interface that in-process and HTTP embedders share, and the options of a client. */
import type { CosmosEmbedError } from '../errors.ts'
import type {
  Base64Request,
  DisposeOptions,
  EmbedManyOptions,
  EmbedOptions,
  EmbedRequest,
  EmbedResponse,
  EmbedStreamOptions,
  FloatRequest,
  FramesInput,
  ItemInput,
  ItemKind,
  ItemOptions,
  KeyOf,
  LabelScore,
  Picture,
  Video,
  Warning,
} from '../types.ts'

/** One embedded item, from any embedder. In-process embedders return more: frames, media, tokens. */
export interface Embedded {
  kind: ItemKind
  /** Unit length, `embeddingDim` floats. */
  embedding: Float32Array
  /** What the caller should know about the input, e.g. that a text was truncated. Usually empty. */
  warnings: Warning[]
}

/**
 * The outcome of one item of a list, in the form of `Promise.allSettled`: a bad item does not fail the others. `key` is the
 * item's own, `index` its position in the list.
 */
export type SettledEmbedded<I extends ItemInput = ItemInput> =
  | { status: 'fulfilled'; index: number; key: KeyOf<I>; value: Embedded }
  | { status: 'rejected'; index: number; key: KeyOf<I>; reason: CosmosEmbedError }

/** What a client knows about the model of its server. */
export interface ModelFacts {
  model: {
    /** The name that requests use. */
    id: string
    /** Floats per vector. */
    embeddingDim: number
    /**
     * Changes with the model's files and its frame rule, so caches of vectors must be keyed by it. Undefined if the server
     * does not report it: the NIM and NVIDIA's open-source server do not.
     */
    fingerprint?: string | undefined
  }
}

/**
 * An embedder, wherever it runs: in this process (`createEmbedder`) or behind HTTP (`createClient`). Code that takes an
 * `AnyEmbedder`, as the adapters do, works with both.
 *
 * Calls reject with a CosmosEmbedError, with the reason of the caller's signal, or with what the caller's iterable or
 * `onProgress` throws.
 */
export interface AnyEmbedder extends AsyncDisposable {
  /**
   * Runs the documented request: `query`, `bulk_text` or `bulk_video` with up to 64 items. It succeeds or fails as a whole;
   * an error caused by one item carries its `index`.
   */
  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  /** Embeds one text. */
  embedText(text: string, options?: ItemOptions): Promise<Embedded>
  /** Embeds one video: a path, a URL, bytes, a Blob, a stream, a Response, or pictures as `{ frames }`. */
  embedVideo(video: Video | FramesInput, options?: ItemOptions): Promise<Embedded>
  /** Embeds one picture, as a video in which nothing moves. */
  embedImage(image: Picture, options?: ItemOptions): Promise<Embedded>
  /** Embeds a list of any length. Results are in its order; a bad item does not fail the others. */
  embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedManyOptions,
  ): Promise<SettledEmbedded<I>[]>
  /**
   * Embeds a list of any length in constant memory and yields each result as soon as it is ready. The source is read no
   * faster than results are taken. Leaving the loop, or aborting the signal, cancels items in progress and closes the
   * source.
   */
  embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedStreamOptions,
  ): AsyncIterableIterator<SettledEmbedded<I>>
  /** Ranks the labels by cosine similarity to the video, best first. `labels` holds at least one text. */
  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options?: ItemOptions,
  ): Promise<LabelScore[]>
  /** The model's id, vector length and fingerprint. */
  info(): ModelFacts | Promise<ModelFacts>
  /** Stops taking calls, then cancels running ones, or finishes them with `drain: true`. Idempotent. */
  dispose(options?: DisposeOptions): Promise<void>
}

/**
 * An embedder behind HTTP, made by `createClient`.
 *
 * - The HTTP interface embeds whole videos by the server's frame rule, so items with `start`, `end`, `frameRule` or
 *   `frameTolerance` are refused with InvalidRequestError or InvalidArgumentError.
 * - `priority: 'query'` sends one item per `query` request. `bulk` sends `bulk_text` and `bulk_video` requests of up to
 *   `batchSize` items. Media in memory are always sent in a `query`, because the interface accepts them nowhere else.
 * - It has no `segments`, `live` and `frames`, which need the frames of a video.
 * - `embedStream` holds `2 × batchSize × maxParallel` items by default: 512.
 */
export interface EmbedderClient extends AnyEmbedder {
  /** Asks the server once. If it does not report the vector length, one text is embedded to learn it. */
  info(): Promise<ModelFacts>
}

/** Options of `createClient`. */
export interface ClientOptions {
  /** Address of the server, such as `http://127.0.0.1:8000`. May include a path in front of `/v1`. */
  url: string | URL
  /** Sent as `Authorization: Bearer …`. */
  apiKey?: string | undefined
  /** Default: the first model that the server lists, or `nvidia/cosmos-embed1` if it lists none, as the NIM. */
  model?: string | undefined
  /** Further headers of every request, e.g. for a gateway. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Default: the global `fetch`. */
  fetch?: typeof fetch | undefined
  /** Maximum number of items in one bulk request, 1 to 64. Default 64. */
  batchSize?: number | undefined
  /** Maximum number of bulk requests in flight, and of queries in flight beside them, 1 to 1024. Default 4. */
  maxParallel?: number | undefined
  /** How often a request is retried after a failure that may be temporary, 0 to 100. Default 2. */
  maxRetries?: number | undefined
  /** Milliseconds for one request, including its retries and the waits between them. Default 600,000. */
  timeoutMs?: number | undefined
  /** Maximum size in bytes of one video or picture sent inline. Default 32 MiB, as the server's `--max-inline-bytes`. */
  maxInlineBytes?: number | undefined
}
