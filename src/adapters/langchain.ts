/**
 * `cosmos-embed/langchain`: embeddings for LangChain.js. The class has the shape of LangChain's `EmbeddingsInterface` and
 * inherits from nothing, so this package does not depend on LangChain.
 */
import type { AnyEmbedder } from '../client/types.ts'
import type { ItemInput, TextInput, VideoInput } from '../types.ts'

/** Options of {@link CosmosEmbeddings}. */
export interface CosmosEmbeddingsOptions {
  /** The caller keeps the embedder and disposes of it. */
  embedder: AnyEmbedder
}

/** Options of a single call. */
export interface CosmosCallOptions {
  /** Cancels the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * Embeddings of texts and videos for LangChain's vector stores.
 *
 * ```ts
 * const embeddings = new CosmosEmbeddings({ embedder })
 * const store = await MemoryVectorStore.fromTexts(texts, metadata, embeddings)
 * ```
 *
 * All calls reject with a CosmosEmbedError whose `index` is the item's, or with the reason of the signal.
 */
export class CosmosEmbeddings {
  readonly embedder: AnyEmbedder

  constructor({ embedder }: CosmosEmbeddingsOptions) {
    this.embedder = embedder
  }

  /** Embeds any number of texts in bulk, in their order. */
  embedDocuments(documents: string[], options: CosmosCallOptions = {}): Promise<number[][]> {
    return this.#all(
      documents.map((text): TextInput => ({ text })),
      options,
    )
  }

  /** Embeds a query, ahead of documents that are waiting. */
  async embedQuery(document: string, options: CosmosCallOptions = {}): Promise<number[]> {
    const { embedding } = await this.embedder.embedText(document, { signal: options.signal })
    return Array.from(embedding)
  }

  /** Embeds videos for a store's `addVectors`, in their order: paths, URLs, bytes, Blobs or streams. */
  embedVideos(videos: readonly VideoInput['video'][], options: CosmosCallOptions = {}): Promise<number[][]> {
    return this.#all(
      videos.map((video): VideoInput => ({ video })),
      options,
    )
  }

  /** Embeds a video to search by, for a store's `similaritySearchVectorWithScore`. */
  async embedVideoQuery(video: VideoInput['video'], options: CosmosCallOptions = {}): Promise<number[]> {
    const { embedding } = await this.embedder.embedVideo(video, { signal: options.signal })
    return Array.from(embedding)
  }

  /** LangChain cannot represent a failed item, so the call rejects with the first failure in the list. */
  async #all(items: readonly ItemInput[], { signal }: CosmosCallOptions): Promise<number[][]> {
    if (items.length === 0) return []
    const settled = await this.embedder.embedMany(items, { signal })
    return settled.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return Array.from(result.value.embedding)
    })
  }
}
