/**
 * Embeddings for LangChain.js. The class has the shape of LangChain's `EmbeddingsInterface` and inherits nothing, so that
 * neither it nor its types need LangChain.
 */
import type { AnyEmbedder } from '../client/types.ts'
import type { ItemInput, TextInput, VideoInput } from '../types.ts'

export interface CosmosEmbeddingsOptions {
  /** Stays the caller's, who disposes of it. */
  embedder: AnyEmbedder
}

export interface CosmosCallOptions {
  signal?: AbortSignal | undefined
}

/** All calls reject with a CosmosEmbedError whose `index` names the item, or with the reason of the signal. */
export class CosmosEmbeddings {
  readonly embedder: AnyEmbedder

  constructor({ embedder }: CosmosEmbeddingsOptions) {
    this.embedder = embedder
  }

  /** Any number of texts; in requests of 64 to a server. */
  embedDocuments(documents: string[], options: CosmosCallOptions = {}): Promise<number[][]> {
    return this.#all(
      documents.map((text): TextInput => ({ text })),
      options,
    )
  }

  /** Ahead of documents that are being embedded. */
  async embedQuery(document: string, options: CosmosCallOptions = {}): Promise<number[]> {
    const { embedding } = await this.embedder.embedText(document, { signal: options.signal })
    return Array.from(embedding)
  }

  /** Vectors for a store's `addVectors`, in the order of the videos: paths, URLs, bytes, Blobs, streams. */
  embedVideos(videos: readonly VideoInput['video'][], options: CosmosCallOptions = {}): Promise<number[][]> {
    return this.#all(
      videos.map((video): VideoInput => ({ video })),
      options,
    )
  }

  /** A video to search by, for a store's `similaritySearchVectorWithScore`. */
  async embedVideoQuery(video: VideoInput['video'], options: CosmosCallOptions = {}): Promise<number[]> {
    const { embedding } = await this.embedder.embedVideo(video, { signal: options.signal })
    return Array.from(embedding)
  }

  /** LangChain has no place for the failure of one: what the first of them failed with, the call rejects with. */
  async #all(items: readonly ItemInput[], { signal }: CosmosCallOptions): Promise<number[][]> {
    if (items.length === 0) return []
    const settled = await this.embedder.embedMany(items, { signal })
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason
      return Array.from(one.value.embedding)
    })
  }
}
