/** What embedders in this process and behind HTTP have in common, and what a client is made with. */
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

/** What every embedder knows of an item that it embedded. One in this process knows more: frames, media, tokens. */
export interface Embedded {
  kind: ItemKind
  /** Unit length. */
  embedding: Float32Array
  warnings: Warning[]
}

/**
 * As `Promise.allSettled`: one bad item does not lose the others. `key` is the item's, `index` its position in the list.
 */
export type SettledEmbedded<I extends ItemInput = ItemInput> =
  | { status: 'fulfilled'; index: number; key: KeyOf<I>; value: Embedded }
  | { status: 'rejected'; index: number; key: KeyOf<I>; reason: CosmosEmbedError }

export interface ModelFacts {
  model: {
    /** What requests call it. */
    id: string
    embeddingDim: number
    /** Changes with the model's files and its frame rule; what a cache of vectors must be keyed by. Not every server tells. */
    fingerprint?: string | undefined
  }
}

/**
 * An embedder, wherever it runs: `createEmbedder` makes one in this process, `createClient` one behind HTTP. Code that
 * asks for this, as the adapters do, takes either.
 */
export interface AnyEmbedder extends AsyncDisposable {
  /** The documented request: `query`, `bulk_text` or `bulk_video`, up to 64 items, all or nothing. */
  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  embedText(text: string, options?: ItemOptions): Promise<Embedded>
  embedVideo(video: Video | FramesInput, options?: ItemOptions): Promise<Embedded>
  /** One picture, as the video in which nothing moves. */
  embedImage(image: Picture, options?: ItemOptions): Promise<Embedded>
  /** A list of any length; results in its order. One bad item does not lose the others. */
  embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedManyOptions,
  ): Promise<SettledEmbedded<I>[]>
  /**
   * A list of any length in constant memory: each result as soon as it is there. The source is read no faster than
   * results are taken. Leaving the loop, or the signal, stops what is under way and the source.
   */
  embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedStreamOptions,
  ): AsyncIterableIterator<SettledEmbedded<I>>
  /** The labels by how well they fit the video, best first. */
  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options?: ItemOptions,
  ): Promise<LabelScore[]>
  info(): ModelFacts | Promise<ModelFacts>
  dispose(options?: DisposeOptions): Promise<void>
}

/**
 * An embedder behind HTTP. Whatever a call rejects with is a CosmosEmbedError, except what is the caller's own: the
 * reason of their signal, and what their iterable or their `onProgress` throws.
 *
 * The documented interface embeds whole videos by its server's frame rule: items with `start`, `end`, `frameRule` or
 * `frameTolerance` are refused. `priority: 'query'` asks with `query`, one item a request; `bulk` with `bulk_text` and
 * `bulk_video`, except for media in memory, which the interface takes in a `query` only. `embedStream` holds, unless
 * `concurrency` says otherwise, twice what fills all requests that may be under way: 512 items.
 */
export interface EmbedderClient extends AnyEmbedder {
  /** Asks the server once; where it does not tell, one text is embedded to learn the length of a vector. */
  info(): Promise<ModelFacts>
}

export interface ClientOptions {
  /** Where the server is, such as `http://127.0.0.1:8000`. A path in front of `/v1` belongs to it. */
  url: string | URL
  /** Sent as `Authorization: Bearer …`. */
  apiKey?: string | undefined
  /** Default: the first that the server lists; `nvidia/cosmos-embed1` where it has no list, as the NIM. */
  model?: string | undefined
  /** Sent with every request, e.g. for a gateway. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Default: the global one. */
  fetch?: typeof fetch | undefined
  /** Items of one bulk request, 1 to 64. Default 64. */
  batchSize?: number | undefined
  /** Bulk requests at one time, and as many queries beside them. Default 4. */
  maxParallel?: number | undefined
  /** How often a request is tried again after a failure that may pass. Default 2. */
  maxRetries?: number | undefined
  /** For one request, with all its tries and the waits between them. Default 600,000. */
  timeoutMs?: number | undefined
  /** Of one video or picture that is sent inline. Default 32 MiB, as the server's `--max-inline-bytes`. */
  maxInlineBytes?: number | undefined
}
