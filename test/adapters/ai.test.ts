/** The provider with the AI SDK itself, versions 6 and 7. */
import type { EmbeddingModelV3, ProviderV3 } from '@ai-sdk/provider'
import { type AnyEmbedder, createEmbedder, similarity } from 'cosmos-embed'
import { type CosmosEmbedModel, type CosmosEmbedProvider, cosmosEmbed } from 'cosmos-embed/ai'
import { beforeAll, describe, expect, expectTypeOf, it, onTestFinished } from 'vitest'
import { unitVector } from '../http/embedder-double.ts'
import { major, open, sides } from './support.ts'

const vectorOf = (input: unknown) => Array.from(unitVector(input, 8))

it('has the types that the SDK requires', () => {
  expectTypeOf<CosmosEmbedModel>().toExtend<EmbeddingModelV3>()
  expectTypeOf<CosmosEmbedProvider>().toExtend<ProviderV3>()
})

type Sdk = Pick<typeof import('ai'), 'embed' | 'embedMany' | 'createProviderRegistry' | 'NoSuchModelError'>

describe.each([
  ['6', 20, () => import('ai6') as unknown as Promise<Sdk>],
  ['7', 22, () => import('ai') as Promise<Sdk>],
] as const)('AI SDK %s', (name, needs, load) => {
  describe.skipIf(major < needs)(major < needs ? `(${name} needs Node.js ${needs})` : 'takes it', () => {
    let sdk: Sdk
    beforeAll(async () => {
      sdk = await load()
    })

    it.each(sides)('for one text, %s', async (side) => {
      const { embedder, double } = await open(side)
      const model = cosmosEmbed(embedder).embeddingModel()
      const { embedding, usage } = await sdk.embed({ model, value: 'a' })
      expect(Array.isArray(embedding)).toBe(true)
      expect(embedding.length).toBe(8)
      expect(usage.tokens).toBeTypeOf('number')
      expect(double.requests).toHaveLength(1)
      expect(double.requests[0]?.request_type).toBe('query')
    })

    it('for more texts than one request has, in their order', async () => {
      const { embedder, double } = await open('local')
      const values = Array.from({ length: 150 }, (_, i) => `text ${i}`)
      const model = cosmosEmbed(embedder).embeddingModel()
      const { embeddings } = await sdk.embedMany({ model, values })
      expect(embeddings).toEqual(values.map((text) => vectorOf({ text })))
      expect(double.requests.map(({ input }) => [input].flat().length).sort()).toEqual([22, 64, 64])
    })

    it('for videos, if the call says so', async () => {
      const { embedder, double } = await open('remote')
      const model = cosmosEmbed(embedder).embeddingModel()
      const values = ['https://host/a.mp4', `data:video/mp4;base64,${btoa('bytes')}`]
      const { embeddings } = await sdk.embedMany({
        model,
        values,
        providerOptions: { cosmosEmbed: { input: 'video' } },
      })
      expect(embeddings).toHaveLength(2)
      expect(double.requests.map(({ request_type }) => request_type).sort()).toEqual(['bulk_video', 'query'])
    })

    it('with an abort that reaches the embedder', async () => {
      const controller = new AbortController()
      let aborted = false
      const { embedder } = await open('local', async (_, signal) => {
        controller.abort(new Error('enough'))
        aborted = signal?.aborted === true
        signal?.throwIfAborted()
      })
      const model = cosmosEmbed(embedder).embeddingModel()
      const embedding = sdk.embed({ model, value: 'a', abortSignal: controller.signal, maxRetries: 0 })
      await expect(embedding).rejects.toThrow('enough')
      expect(aborted).toBe(true)
    })

    it('in a registry, which finds no other kinds of models', async () => {
      const { embedder } = await open('local')
      const registry = sdk.createProviderRegistry({ cosmos: cosmosEmbed(embedder) as never })
      const model = registry.embeddingModel('cosmos:double' as never)
      expect((await sdk.embed({ model, value: 'a' })).embedding).toEqual(vectorOf({ text: 'a' }))
      let thrown: unknown
      try {
        registry.languageModel('cosmos:any' as never)
      } catch (error) {
        thrown = error
      }
      expect(sdk.NoSuchModelError.isInstance(thrown)).toBe(true)
    })
  })
})

describe('the model', () => {
  const model = (embedder: AnyEmbedder, files = false) => cosmosEmbed(embedder, { files }).embeddingModel()

  it('warns about other dimensions, and truncates nothing', async () => {
    const { embedder } = await open('local')
    const { embeddings, warnings } = await model(embedder).doEmbed({ values: ['a'], dimensions: 4 })
    expect(embeddings[0]).toHaveLength(8)
    expect(warnings).toEqual([
      { type: 'unsupported', feature: 'dimensions', details: expect.stringContaining('8') },
    ])
    expect((await model(embedder).doEmbed({ values: ['a'], dimensions: 8 })).warnings).toEqual([])
  })

  it.each([
    'clips/a.mp4',
    '/etc/passwd',
    'file:///etc/passwd',
    'ftp://host/a.mp4',
    'data:video/mp4,raw',
    'data:video/mp4;base64,§',
  ])('takes no video from %s, unless files are allowed', async (value) => {
    const { embedder, double } = await open('local')
    const providerOptions = { cosmosEmbed: { input: 'video' } }
    await expect(
      model(embedder).doEmbed({ values: ['https://host/a.mp4', value], providerOptions }),
    ).rejects.toMatchObject({
      code: 'invalid_request',
      index: 1,
    })
    expect(double.requests).toEqual([])
  })

  it('refuses unknown options', async () => {
    const { embedder } = await open('local')
    const call = (cosmosEmbed: Record<string, string>) =>
      model(embedder).doEmbed({ values: ['a'], providerOptions: { cosmosEmbed } })
    await expect(call({ inptu: 'video' })).rejects.toThrow('inptu')
    await expect(call({ input: 'image' })).rejects.toThrow('"text" or "video"')
  })

  it('embeds as the embedder does, files too', async () => {
    const embedder = await createEmbedder({ device: 'cpu', model: 'models/demo' })
    onTestFinished(() => embedder.dispose())
    const file = 'examples/clips/red-circle.mp4'
    const providerOptions = { cosmosEmbed: { input: 'video' } }
    const { embeddings } = await model(embedder, true).doEmbed({ values: [file], providerOptions })
    expect(similarity(embeddings[0] ?? [], await embedder.embedVideo(file))).toBeCloseTo(1, 5)
    const { warnings } = await model(embedder).doEmbed({ values: ['clips/a.mp4'] })
    expect(warnings).toEqual([])
  })
})
