/**
 * Embeddings for LlamaIndex.TS. LlamaIndex asks for a subclass of its own base class, so the module that has it is an
 * argument: this package needs neither it nor its types.
 */
import type { AnyEmbedder } from '../client/types.ts'
import type { ItemInput, VideoInput } from '../types.ts'

export interface CosmosEmbeddingOptions {
  /** Stays the caller's, who disposes of it. */
  embedder: AnyEmbedder
}

/** What is there beside LlamaIndex's own methods, which know texts and pictures. */
export interface VideoEmbeddings {
  /** A path, a URL, bytes, a Blob or a stream. */
  getVideoEmbedding(video: VideoInput['video']): Promise<number[]>
  getVideoEmbeddings(videos: readonly VideoInput['video'][]): Promise<number[][]>
}

/** What LlamaIndex calls. */
interface TextEmbeddings {
  embedBatchSize: number
  getTextEmbedding(text: string): Promise<number[]>
  getTextEmbeddings(texts: string[]): Promise<number[][]>
}

/**
 * ```ts
 * import * as llamaindex from '@llamaindex/core/embeddings'
 * Settings.embedModel = cosmosEmbedding(llamaindex, { embedder })
 * ```
 *
 * Its calls reject with a CosmosEmbedError whose `index` names the item.
 */
export function cosmosEmbedding<Base extends { readonly prototype: object }>(
  module: { readonly BaseEmbedding: Base },
  { embedder }: CosmosEmbeddingOptions,
): Base['prototype'] & VideoEmbeddings {
  // Abstract and protected to its types; to JavaScript it is a class.
  const BaseEmbedding = module.BaseEmbedding as unknown as new () => object

  const all = async (items: readonly ItemInput[]): Promise<number[][]> => {
    const settled = await embedder.embedMany(items)
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason
      return Array.from(one.value.embedding)
    })
  }

  // An object of LlamaIndex is a function that it calls with nodes, and it calls its methods without the object: they are
  // fields that need no `this`.
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
