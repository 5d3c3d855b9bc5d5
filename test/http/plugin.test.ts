/** The plugin over a real embedder, through app.inject. */
import { readFileSync } from 'node:fs'
import { createEmbedder, type Embedder } from 'cosmos-embed'
import { cosmosEmbed, type HttpOptions } from 'cosmos-embed/http'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from './support.ts'

let embedder: Embedder

beforeAll(async () => {
  const model = new URL('../../models/demo', import.meta.url).pathname
  embedder = await createEmbedder({ model, servedNames: ['nvidia/cosmos-embed1'], device: 'cpu' })
})
afterAll(() => embedder?.dispose())

async function hosting(options: Partial<HttpOptions> & { prefix?: string } = {}): Promise<FastifyInstance> {
  const app = Fastify()
  onTestFinished(() => app.close())
  await app.register(cosmosEmbed, { embedder, ...options })
  const { prefix = '' } = options
  await eventually(async () => {
    expect((await app.inject(`${prefix}/v1/health/ready`)).statusCode).toBe(200)
  })
  return app
}

describe('the plugin', () => {
  it('works on every route', async () => {
    const app = await hosting({ prefix: '/embed' })
    const document = (await app.inject('/embed/openapi.json')).json()
    for (const [path, methods] of Object.entries(document.paths as Record<string, Record<string, unknown>>)) {
      const { get, post } = methods as { get?: unknown; post?: { requestBody: { content: object } } }
      const url = document.servers[0].url + path.replace('{model}', 'nvidia/cosmos-embed1')
      if (get) expect((await app.inject(url)).statusCode, url).toBe(200)
      if (post) expect((await app.inject({ method: 'POST', url, payload: {} })).statusCode, url).toBe(422)
    }
    for (const page of ['/embed/', '/embed/docs']) expect((await app.inject(page)).statusCode).toBe(200)
  })

  it('gets the vectors of the library', async () => {
    const app = await hosting()
    const payload = { request_type: 'query', input: 'a red circle', model: 'nvidia/cosmos-embed1' }
    const { data } = (await app.inject({ method: 'POST', url: '/v1/embeddings', payload })).json()
    const { embedding } = await embedder.embedText('a red circle')
    const dot = embedding.reduce((sum, value, at) => sum + value * data[0].embedding[at], 0)
    expect(dot).toBeCloseTo(1, 4)
  })

  it('gets segments line by line', async () => {
    const app = await hosting()
    const bytes = readFileSync(new URL('../../examples/clips/red-circle.mp4', import.meta.url))
    const input = `data:video/mp4;base64,${bytes.toString('base64')}`
    const payload = { input, window_seconds: 1, model: 'nvidia/cosmos-embed1' }
    const { statusCode, body, headers } = await app.inject({ method: 'POST', url: '/v1/segments', payload })
    expect(statusCode).toBe(200)
    expect(headers['content-type']).toBe('application/x-ndjson')
    expect(JSON.parse(body.trim().split('\n').at(-1) as string)).toMatchObject({ object: 'segments.end' })
  })
})

describe('metadata', () => {
  it('lists the served names first', async () => {
    const app = await hosting()
    const names = ['nvidia/cosmos-embed1', 'cosmos-embed-demo']
    const list = (await app.inject('/v1/models')).json()
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual(names)
    const metadata = (await app.inject('/v1/metadata')).json()
    expect(metadata.modelInfo.map(({ shortName }: { shortName: string }) => shortName)).toEqual(names)
    expect(metadata.model.servedNames).toEqual(names)
    const { manifest_file } = (await app.inject('/v1/manifest')).json()
    const manifest = JSON.parse(manifest_file)
    expect(Object.keys(manifest)[0]).toBe('servedNames')
    expect(manifest).toMatchObject({ servedNames: names, id: 'cosmos-embed-demo', embeddingDim: 256 })
  })

  it('names each limit like its option', async () => {
    const app = await hosting()
    const { limits } = (await app.inject('/v1/metadata')).json()
    const { input, decode } = embedder.info().limits
    expect({ ...limits.input, ...limits.inFlight }).toMatchObject(input)
    expect(limits.decode).toEqual(decode)
  })
})
