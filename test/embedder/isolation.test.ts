/** Decoding in processes of its own, through the public API: the same results, and what a decoder's end costs. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { openEmbedder } from '../../src/embedder.ts'
import { createServer } from '../../src/http/index.ts'
import { createEmbedder, type Embedder, type Segment } from '../../src/index.ts'
import { withHostileDecoders } from './hostile-decoder.ts'

const clips = fileURLToPath(new URL('../../examples/clips', import.meta.url))
const videos = readdirSync(clips)
  .filter((name) => /\.(mp4|webm)$/.test(name))
  .slice(0, 4)
  .map((name) => path.join(clips, name))
const video = videos[0] as string
const sha256 = createHash('sha256').update(readFileSync(video)).digest('hex')
const pixels = { width: 2, height: 2, data: new Uint8Array(12).fill(90) }

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)
}

async function collect(segments: AsyncIterable<Segment>): Promise<Segment[]> {
  const all: Segment[] = []
  for await (const segment of segments) all.push(segment)
  return all
}

describe('an embedder with isolation', () => {
  let isolated: Embedder
  let plain: Embedder
  beforeAll(async () => {
    isolated = await createEmbedder({ device: 'cpu', decode: { isolation: 'process' } })
    plain = await createEmbedder({ device: 'cpu' })
  })
  afterAll(() => Promise.all([isolated.dispose(), plain.dispose()]))

  it('tells which walls stand, and what the processes did', async () => {
    expect(isolated.info().decoders?.walls).toMatchObject({ systemCalls: true, memory: true })
    expect(plain.info().decoders).toBeUndefined()
    await isolated.embedVideo(video)
    expect(isolated.stats().decoders).toMatchObject({ crashed: 0, ended: 0 })
    expect(isolated.stats().decoders?.started).toBeGreaterThan(0)
    expect(plain.stats().decoders).toBeUndefined()
  })

  it.each(videos)('gives the vector of %s as a file, as bytes and over a range', async (file) => {
    for (const input of [file, new Uint8Array(readFileSync(file))]) {
      for (const range of [{}, { start: 0.2, end: 0.9 }]) {
        const [one, other] = await Promise.all(
          [isolated, plain].map((embedder) => embedder.embedVideo(input, range)),
        )
        expect(cosine(one?.embedding as Float32Array, other?.embedding as Float32Array)).toBeGreaterThan(
          0.99999,
        )
        expect(one?.frames).toEqual(other?.frames)
        expect(one?.media).toEqual(other?.media)
        expect(one?.warnings).toEqual(other?.warnings)
      }
    }
  })

  it('gives the same pixels, pictures and segments', async () => {
    const [one, other] = await Promise.all(
      [isolated, plain].map((embedder) => embedder.frames(video, { images: true })),
    )
    expect(one?.images?.length).toBe(other?.images?.length)
    one?.images?.forEach(({ width, height, data }, index) => {
      expect(other?.images?.[index]).toMatchObject({ width, height })
      expect(Buffer.compare(data, other?.images?.[index]?.data as Uint8Array)).toBe(0)
    })
    const [still, sameStill] = await Promise.all(
      [isolated, plain].map((embedder) => embedder.embedImage(pixels)),
    )
    expect(cosine(still?.embedding as Float32Array, sameStill?.embedding as Float32Array)).toBeGreaterThan(
      0.99999,
    )
    const windows = { windowSeconds: 0.5 }
    const [segments, sameSegments] = await Promise.all(
      [isolated, plain].map((embedder) => collect(embedder.segments(video, windows))),
    )
    const times = (list: Segment[] = []) => list.map(({ start, end, frames }) => ({ start, end, frames }))
    expect(times(segments)).toEqual(times(sameSegments))
  })

  it('fails with the same errors', async () => {
    const noise = new Uint8Array(3000).fill(0x5a)
    for (const input of ['/no/such.mp4', noise]) {
      const [one, other] = await Promise.all(
        [isolated, plain].map((embedder) => embedder.embedVideo(input).catch((error) => error)),
      )
      expect(one).toEqual(other)
      expect(one.code).toBe(other.code)
      expect(one.message).toBe(other.message)
    }
  })

  it('stops a decode that the caller aborts, and goes on', async () => {
    const controller = new AbortController()
    const running = isolated.embedMany(
      Array.from({ length: 20 }, () => ({ video })),
      { signal: controller.signal },
    )
    setTimeout(() => controller.abort(new Error('enough')), 20)
    await expect(running).rejects.toThrow('enough')
    await expect(isolated.embedVideo(video)).resolves.toMatchObject({ kind: 'video' })
  })
})

describe('a decoder process that ends on a file', () => {
  async function open(behaviour: Parameters<typeof withHostileDecoders>[0]): Promise<Embedder> {
    const limits = { maxWallSeconds: 0.3 }
    const options = { device: 'cpu', decode: { isolation: 'process', limits } } as const
    const embedder = await openEmbedder(options, withHostileDecoders(behaviour))
    onTestFinished(() => embedder.dispose())
    return embedder
  }

  it.each([
    ['abort', 'media', /the decoder ended on this file \(signal 6, SIGABRT\)/],
    ['exit', 'media', /the decoder ended on this file \(exit code 3\)/],
    ['nonsense', 'media', /the decoder was stopped on this file/],
    ['hang', 'timeout', /maxWallSeconds/],
  ] as const)('costs its own item and nothing else: %s', async (behaviour, code, message) => {
    const embedder = await open(behaviour)
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warning.mockRestore())
    const results = await embedder.embedMany([{ text: 'a' }, { video }, { text: 'b' }, { video }])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected'])
    for (const result of results) {
      if (result.status !== 'rejected') continue
      expect(result.reason).toMatchObject({ code, message: expect.stringMatching(message) })
      if (code === 'media') expect(result.reason).toMatchObject({ details: { sha256 } })
    }
    const { decoders } = embedder.stats()
    expect(code === 'media' ? decoders?.crashed : decoders?.ended).toBe(2)
    expect(decoders?.busy).toBe(0)
    if (code === 'media') expect(warning.mock.calls.join('\n')).toContain(sha256)
  })

  it('is told of in the middle of segments too', async () => {
    const embedder = await open('abort at a clip')
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warning.mockRestore())
    await expect(collect(embedder.segments(video, { windowSeconds: 0.5 }))).rejects.toMatchObject({
      code: 'media',
      details: { decoderEnded: 'SIGABRT', sha256 },
    })
    expect(warning.mock.calls.join('\n')).toContain(sha256)
    expect(embedder.stats().decoders).toMatchObject({ crashed: 1, busy: 0 })
  })

  it('is a 422 that names the input, and a count in the metrics, over HTTP', async () => {
    const embedder = await open('abort')
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warning.mockRestore())
    const server = await createServer({ embedder })
    onTestFinished(() => server.close())
    const url = await server.listen({ port: 0 })
    await server.ready
    const inline = `data:video/mp4;base64,${readFileSync(video).toString('base64')}`
    const post = (body: object) =>
      fetch(`${url}/v1/embeddings`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: embedder.info().model.id, encoding_format: 'float', ...body }),
      })
    const failed = await post({ input: [inline], request_type: 'query' })
    expect(failed.status).toBe(422)
    expect(JSON.stringify(await failed.json())).toMatch(/the decoder ended on this file/)
    const text = await post({ input: ['a cat'], request_type: 'query' })
    expect(text.status).toBe(200)
    const metrics = await (await fetch(`${url}/v1/metrics`, { headers: { accept: 'text/plain' } })).text()
    expect(metrics).toMatch(/cosmos_embed_decoder_processes_total\{event="crashed"\} [12]\n/)
    expect((await fetch(`${url}/v1/health/ready`)).status).toBe(200)
  })
})

describe('the option decode.isolation', () => {
  it('refuses to start with "required" where a wall is missing, and warns with "process"', async () => {
    const { default: binding } = await import('#binding')
    const walls = { systemCalls: true, network: false, files: false, memory: true }
    const close = vi.fn()
    const stats = { idle: 1, busy: 0, started: 1, crashed: 0, ended: 0, retired: 0 }
    const pool = { walls, close, stats: () => stats }
    const missing = {
      ...binding,
      openDecoderPool: () => ({ promise: Promise.resolve(pool), cancel() {}, unref() {} }),
    }
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warning.mockRestore())
    const required = openEmbedder({ device: 'cpu', decode: { isolation: 'required' } }, missing)
    await expect(required).rejects.toMatchObject({
      code: 'library',
      message: expect.stringMatching(/lack a network of its own .*, an empty file system .* on this machine/),
    })
    expect(close).toHaveBeenCalledOnce()
    const embedder = await openEmbedder({ device: 'cpu', decode: { isolation: 'process' } }, missing)
    await embedder.dispose()
    expect(warning.mock.calls.join('\n')).toContain('docs/isolation.md')
  })
})
