/** The embeddings with LlamaIndex's own nodes. */
import * as llamaindex from '@llamaindex/core/embeddings'
import { TextNode } from '@llamaindex/core/schema'
import { similarity } from 'cosmos-embed'
import { cosmosEmbedding } from 'cosmos-embed/llamaindex'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { clip, sides, withDemo } from './support.ts'

const demo = withDemo()

describe.each(sides)('%s', (side) => {
  const model = () => cosmosEmbedding(llamaindex, { embedder: demo[side] })

  it('is an embedding model of LlamaIndex', () => {
    expectTypeOf(model()).toExtend<llamaindex.BaseEmbedding>()
    expect(model()).toBeInstanceOf(llamaindex.BaseEmbedding)
  })

  it('embeds any number of nodes as a step of a pipeline, and reports its progress', async () => {
    const texts = Array.from({ length: 70 }, (_, i) => `a circle ${i}`)
    const told: string[] = []
    const nodes = await model()(
      texts.map((text) => new TextNode({ text })),
      { progressCallback: (done: number, total: number) => told.push(`${done}/${total}`) },
    )
    expect(told).toEqual(['64/70', '70/70'])
    expect(nodes.map(({ embedding }) => Array.isArray(embedding) && embedding.length)).toEqual(
      texts.map(() => 256),
    )
    expect(similarity(nodes[69]?.embedding ?? [], await model().getTextEmbedding('a circle 69'))).toBeCloseTo(
      1,
      4,
    )
  })

  it('finds videos by text', async () => {
    const names = ['orange-square.mp4', 'red-circle.mp4', 'purple-heart.webm']
    const vectors = await model().getVideoEmbeddings(names.map(clip))
    const query = await model().getQueryEmbedding({ type: 'text', text: 'a red circle' })
    const [, [found]] = llamaindex.getTopKEmbeddings(query ?? [], vectors, 1, names)
    expect(found).toBe('red-circle.mp4')
    const byVideo = await model().getVideoEmbedding(clip('red-circle.mp4'))
    expect(model().similarity(byVideo, vectors[1] ?? [])).toBeCloseTo(1, 4)
  })

  it('names the text that caused an error', async () => {
    await expect(model().getTextEmbeddingsBatch(['a', ' '])).rejects.toMatchObject({
      code: 'invalid_request',
      index: 1,
    })
  })
})
