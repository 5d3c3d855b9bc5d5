/** The embeddings in LangChain's own vector store. */
import { readFileSync } from 'node:fs'
import type { EmbeddingsInterface } from '@langchain/core/embeddings'
import { FakeVectorStore } from '@langchain/core/utils/testing'
import { similarity } from 'cosmos-embed'
import { CosmosEmbeddings } from 'cosmos-embed/langchain'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { clip, sides, withDemo } from './support.ts'

const demo = withDemo()

it('has the type that LangChain requires', () => {
  expectTypeOf<CosmosEmbeddings>().toExtend<EmbeddingsInterface>()
})

describe.each(sides)('%s', (side) => {
  const embeddings = () => new CosmosEmbeddings({ embedder: demo[side] })

  it('puts texts into a store, and finds them by text', async () => {
    const texts = ['a red circle moving left', 'a blue square', 'a green triangle']
    const store = await FakeVectorStore.fromTexts(
      texts,
      texts.map((_, id) => ({ id })),
      embeddings(),
    )
    const [found] = await store.similaritySearch('a red circle', 1)
    expect(found).toMatchObject({ pageContent: texts[0], metadata: { id: 0 } })
  })

  it('adds videos, and finds them by text and by video', async () => {
    const names = ['orange-square.mp4', 'red-circle.mp4', 'purple-heart.webm']
    const store = new FakeVectorStore(embeddings())
    const vectors = await embeddings().embedVideos(names.map(clip))
    expect(vectors.every((vector) => Array.isArray(vector) && vector.length === 256)).toBe(true)
    await store.addVectors(
      vectors,
      names.map((name) => ({ pageContent: name, metadata: {} })),
    )
    const [byText] = await store.similaritySearch('a red circle', 1)
    expect(byText?.pageContent).toBe('red-circle.mp4')
    const query = await embeddings().embedVideoQuery(readFileSync(clip('purple-heart.webm')))
    const [[byVideo] = []] = await store.similaritySearchVectorWithScore(query, 1)
    expect(byVideo?.pageContent).toBe('purple-heart.webm')
  })

  it('keeps the order of more texts than one request has', async () => {
    const texts = Array.from({ length: 70 }, (_, i) => `a circle ${i}`)
    const vectors = await embeddings().embedDocuments(texts)
    expect(similarity(vectors[69] ?? [], await embeddings().embedQuery('a circle 69'))).toBeCloseTo(1, 4)
    expect(await embeddings().embedDocuments([])).toEqual([])
  })

  it('names the item that caused an error, and can be aborted', async () => {
    await expect(embeddings().embedDocuments(['a', ' '])).rejects.toMatchObject({
      code: 'invalid_request',
      index: 1,
    })
    const signal = AbortSignal.abort(new Error('enough'))
    for (const call of [
      embeddings().embedDocuments(['a'], { signal }),
      embeddings().embedQuery('a', { signal }),
      embeddings().embedVideos([clip('red-circle.mp4')], { signal }),
      embeddings().embedVideoQuery(clip('red-circle.mp4'), { signal }),
    ]) {
      await expect(call).rejects.toThrow('enough')
    }
  })
})
