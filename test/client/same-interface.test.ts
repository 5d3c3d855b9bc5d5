/** In-process and HTTP embedders give the same results for the same calls. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type AnyEmbedder, createEmbedder, type Embedder, type Settled, similarity } from 'cosmos-embed'
import { createClient, type EmbedderClient } from 'cosmos-embed/client'
import { createServer } from 'cosmos-embed/http'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'

const clips = fileURLToPath(new URL('../../examples/clips', import.meta.url))
const clip = path.join(clips, 'red-circle.mp4')
const other = path.join(clips, 'blue-circle.webm')
const model = fileURLToPath(new URL('../../models/demo', import.meta.url))

let local: Embedder
let remote: EmbedderClient
let end: () => Promise<void>

beforeAll(async () => {
  local = await createEmbedder({ model, device: 'cpu' })
  const server = await createServer({ embedder: local })
  const url = await server.listen({ port: 0 })
  await server.ready
  remote = createClient({ url })
  end = async () => {
    await remote.dispose()
    await server.close()
    await local.dispose()
  }
})

afterAll(() => end())

it('have one interface', () => {
  expectTypeOf<Embedder>().toExtend<AnyEmbedder>()
  expectTypeOf<EmbedderClient>().toExtend<AnyEmbedder>()
})

it('give the type of a key back', () => {
  expectTypeOf<Settled<{ text: string; key: 7 }>['key']>().toEqualTypeOf<7>()
  expectTypeOf<Settled<{ text: string; key?: string }>['key']>().toEqualTypeOf<string | undefined>()
  expectTypeOf<Settled<{ text: string }>['key']>().toEqualTypeOf<undefined>()
})

describe('a text', () => {
  it.each(['query', 'bulk'] as const)('with priority %s', async (priority) => {
    const [here, there] = [
      await local.embedText('a red circle'),
      await remote.embedText('a red circle', { priority }),
    ]
    expect(there).toEqual({ kind: 'text', embedding: expect.any(Float32Array), warnings: [] })
    expect(similarity(here, there)).toBeGreaterThan(0.99999)
  })

  it('returns its warnings', async () => {
    const { warnings } = await remote.embedText('clips/a.mp4')
    expect(warnings).toEqual(
      (await local.embed({ request_type: 'query', input: 'clips/a.mp4' })).warnings.map(
        ({ code, message }) => ({ code, message }),
      ),
    )
    expect(warnings[0]?.code).toBe('text_looks_like_media')
  })
})

describe('a video', () => {
  const bytes = readFileSync(clip)
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += 5000) yield bytes.subarray(at, at + 5000)
  }
  it.each<[string, () => Parameters<EmbedderClient['embedVideo']>[0]]>([
    ['a path', () => clip],
    ['a file: URL', () => pathToFileURL(clip)],
    ['bytes', () => bytes],
    ['an ArrayBuffer', () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)],
    ['a Blob', () => new Blob([bytes])],
    ['a File', () => new File([bytes], 'a.mp4', { type: 'video/mp4' })],
    ['a stream of its pieces', pieces],
    ['a web stream', () => new Blob([bytes]).stream()],
    ['a Response', () => new Response(bytes)],
  ])('as %s', async (_, make) => {
    const there = await remote.embedVideo(make())
    expect(there.kind).toBe('video')
    expect(similarity(await local.embedVideo(clip), there)).toBeGreaterThan(0.99999)
  })
})

describe('pictures', () => {
  it('of raw pixels are sent as files without loss', async () => {
    const { images } = await local.frames(clip)
    const here = await local.embedVideo({ frames: images })
    const there = await remote.embedVideo({ frames: images })
    expect(there.kind).toBe('frames')
    expect(similarity(here, there)).toBeGreaterThan(0.99999)
  })

  it('a single one', async () => {
    const [image] = (await local.frames(other)).images
    if (!image) throw new Error('no picture')
    expect(similarity(await local.embedImage(image), await remote.embedImage(image))).toBeGreaterThan(0.99999)
  })
})

describe('a list', () => {
  it('of mixed items keeps its order, its keys and its good items', async () => {
    const items = [
      { text: 'a red circle', key: 1 },
      { video: clip, key: 'two' },
      { text: ' ', key: 3 },
      { video: Buffer.from('no video at all'), key: 4 },
      { video: new URL('https://localhost/a.mp4'), key: 5 },
      { video: path.join(clips, 'absent.mp4'), key: 6 },
      { text: 'a blue circle', key: 7 },
    ]
    const settled = await remote.embedMany(items)
    expect(settled.map(({ key }) => key)).toEqual([1, 'two', 3, 4, 5, 6, 7])
    const outcomes = settled.map((one) => (one.status === 'fulfilled' ? 'ok' : one.reason.code))
    expect(outcomes).toEqual(['ok', 'ok', 'invalid_request', 'media', 'blocked_url', 'source', 'ok'])
    settled.forEach((one, index) => {
      if (one.status === 'rejected') expect(one.reason.index).toBe(index)
    })
  })
})

it('the documented request, in numbers and in base64', async () => {
  const request = {
    request_type: 'bulk_video',
    input: [{ video: clip }, { video: await readFile(other) }],
  } as const
  const [here, there] = [await local.embed(request), await remote.embed(request)]
  const base64 = await remote.embed({ ...request, encoding_format: 'base64' })
  const { data: _here, timings: __here, ...rest } = here
  const { data, timings, ...told } = there
  expect(told).toEqual(rest)
  expect(data.map(({ index }) => index)).toEqual([0, 1])
  data.forEach(({ embedding }, i) => {
    expect(similarity(embedding, here.data[i]?.embedding ?? [])).toBeGreaterThan(0.99999)
  })
  expect(timings.decode).toBeGreaterThan(0)
  // The last bits of a vector depend on the batch that it was computed in, so the comparison has a tolerance.
  base64.data.forEach(({ embedding }, i) => {
    const bytes = Buffer.from(embedding, 'base64')
    const vector = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
    expect(vector).toHaveLength(data[i]?.embedding.length ?? 0)
    expect(similarity(vector, data[i]?.embedding ?? [])).toBeGreaterThan(0.99999)
  })
})

it('classify ranks the labels', async () => {
  const labels = ['a blue square', 'a red circle', 'a green triangle']
  const [here, there] = [await local.classify(clip, labels), await remote.classify(clip, labels)]
  expect(there.map(({ label }) => label)).toEqual(here.map(({ label }) => label))
  expect(there[0]?.label).toBe('a red circle')
})

it('info describes the model', async () => {
  const { id, embeddingDim, fingerprint } = local.info().model
  expect(await remote.info()).toEqual({ model: { id, embeddingDim, fingerprint } })
})
