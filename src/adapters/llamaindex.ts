/**
 * `cosmos-embed/llamaindex`: embeddings for LlamaIndex.TS. LlamaIndex requires a subclass of its own base class, so its
 * module is an argument: this package does not depend on LlamaIndex.
 */
import type { AnyEmbedder } from '../client/types.ts'
import type { ItemInput, VideoInput } from '../types.ts'

/** Options of {@link cosmosEmbedding}. */
export interface CosmosEmbeddingOptions {
  /** The caller keeps the embedder and disposes of it. */
  embedder: AnyEmbedder
}

/** The methods for videos, which LlamaIndex's own interface lacks. */
export interface VideoEmbeddings {
  /** Embeds one video: a path, a URL, bytes, a Blob or a stream. */
  getVideoEmbedding(video: VideoInput['video']): Promise<number[]>
  /** Embeds any number of videos, in their order. */
  getVideoEmbeddings(videos: readonly VideoInput['video'][]): Promise<number[][]>
}

/** The methods that LlamaIndex calls. */
interface TextEmbeddings {
  embedBatchSize: number
  getTextEmbedding(text: string): Promise<number[]>
  getTextEmbeddings(texts: string[]): Promise<number[][]>
}

/**
 * Creates an embedding model for LlamaIndex, which also embeds videos.
 *
 * ```ts
 * import * as llamaindex from '@llamaindex/core/embeddings'
 * Settings.embedModel = cosmosEmbedding(llamaindex, { embedder })
 * ```
 *
 * The model's calls reject with a CosmosEmbedError whose `index` is the item's.
 */
export function cosmosEmbedding<Base extends { readonly prototype: object }>(
  module: { readonly BaseEmbedding: Base },
  { embedder }: CosmosEmbeddingOptions,
): Base['prototype'] & VideoEmbeddings {
  // Abstract, with protected members, only in TypeScript.
  const BaseEmbedding = module.BaseEmbedding as unknown as new () => object

  const all = async (items: readonly ItemInput[]): Promise<number[][]> => {
    const settled = await embedder.embedMany(items)
    return settled.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return Array.from(result.value.embedding)
    })
  }

  // LlamaIndex calls these methods detached from their object, so they are fields that do not use `this`.
  class CosmosEmbedding extends BaseEmbedding implements TextEmbeddings, VideoEmbeddings {
    embedBatchSize = 64
    getTextEmbedding = async (text: string) => Array.from((await embedder.embedText(text)).embedding)
    getTextEmbeddings = (texts: string[]) => all(texts.map((text) => ({ text })))
    getVideoEmbedding = async (video: VideoInput['video']) =>
      Array.from((await embedder.embedVideo(video)).embedding)
    getVideoEmbeddings = (videos: readonly VideoInput['video'][]) => all(videos.map((video) => ({ video })))
  }
  return new CosmosEmbedding()
}
