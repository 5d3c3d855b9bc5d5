import { readFileSync } from 'node:fs'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  createEmbedder,
  DeviceLostError,
  type Embedder,
  ModelError,
  OutOfMemoryError,
} from '../../src/index.ts'
import { buildEngines, clips, type Major, noFakes, onGpu, tensorrt, toyModel, versions } from './support.ts'

// The fake of the driver reads this once per process, when it is initialised.
process.env.COSMOS_FAKE_CUDA_DEVICES = 'Fake H200:9.0:8192;Fake H200:9.0:8192'

const faults = (setting: string) => {
  process.env.COSMOS_FAKE_FAULTS = setting
}
afterEach(() => {
  delete process.env.COSMOS_FAKE_FAULTS
})

const texts = ['a red circle', 'two shapes that move apart', 'x', 'word '.repeat(300)]

describe.skipIf(noFakes).each([10, 11] as const)('TensorRT %i', (major: Major) => {
  const model = noFakes ? '' : toyModel(`trt${major}`)
  let log = ''
  beforeAll(async () => {
    log = await buildEngines(model, major)
  })

  const withEmbedders = async (use: (gpu: Embedder, cpu: Embedder) => Promise<void>) => {
    await using gpu = await createEmbedder(onGpu(model, major))
    await using cpu = await createEmbedder({ model, device: 'cpu' })
    await use(gpu, cpu)
  }

  it('has engines that build-engine builds and tries', () => {
    expect(log).toContain('Building a toy plan')
    expect(log).toContain('trying the video and text engine')
  })

  it('gives the vectors that ONNX Runtime gives', async () => {
    await withEmbedders(async (gpu, cpu) => {
      for (const text of texts) {
        const [left, right] = await Promise.all([gpu.embedText(text), cpu.embedText(text)])
        expectSame(left.embedding, right.embedding)
        expect(left.truncated).toBe(right.truncated)
      }
      for (const clip of clips) {
        const [left, right] = await Promise.all([gpu.embedVideo(clip), cpu.embedVideo(clip)])
        expectSame(left.embedding, right.embedding)
        expect(left.frames).toEqual(right.frames)
        expect(left.media).toMatchObject({ decoder: 'nvdec', decoderReason: '' })
        expect(right.media.decoder).toBe('software')
      }
    })
  })

  it('gives the same from files that decoder processes read', async () => {
    await using isolated = await createEmbedder({ ...onGpu(model, major), decode: { isolation: 'process' } })
    await withEmbedders(async (gpu) => {
      for (const clip of clips) {
        const [left, right] = await Promise.all([isolated.embedVideo(clip), gpu.embedVideo(clip)])
        expect(left.embedding).toEqual(right.embedding)
        expect(left.frames).toEqual(right.frames)
        // In this process, idle decoders share a clip that is alone, and each reads the file for itself.
        const { seeks, bytesRead } = right.media
        expect({ ...left.media, seeks, bytesRead }).toEqual(right.media)
        expect(left.media.decoder).toBe('nvdec')
      }
      const [clip] = clips as [string]
      const vectors = async (embedder: Embedder) => {
        const all: Float32Array[] = []
        for await (const { embedding } of embedder.segments(clip, { windowSeconds: 0.5 })) all.push(embedding)
        return all
      }
      expect(await vectors(isolated)).toEqual(await vectors(gpu))
    })
    expect(isolated.stats().decoders).toMatchObject({ crashed: 0, ended: 0, busy: 0 })
    expect(isolated.info().decoders?.outside).toHaveLength(2)
  })

  it('embeds bytes, ranges, pictures and windows', async () => {
    await withEmbedders(async (gpu, cpu) => {
      const [clip] = clips as [string]
      const picture = {
        width: 9,
        height: 7,
        data: Uint8Array.from({ length: 189 }, (_, i) => (i * 37) % 256),
      }
      for (const [video, options] of [
        [readFileSync(clip), {}],
        [clip, { start: 0.3, end: 1.1 }],
        [{ frames: Array.from({ length: 8 }, () => picture) }, {}],
      ] as const) {
        const [left, right] = await Promise.all([
          gpu.embedVideo(video, options),
          cpu.embedVideo(video, options),
        ])
        expectSame(left.embedding, right.embedding)
      }
      const windows = { windowSeconds: 0.5, strideSeconds: 0.25 }
      const [left, right] = await Promise.all([
        all(gpu.segments(clip, windows)),
        all(cpu.segments(clip, windows)),
      ])
      expect(left.length).toBe(right.length)
      for (const [i, segment] of left.entries()) {
        expectSame(segment.embedding, right[i]?.embedding)
        expect(segment.start).toBe(right[i]?.start)
      }
    })
  })

  it('keeps rows apart in batches of every size, with two in flight', async () => {
    await withEmbedders(async (gpu, cpu) => {
      const items = Array.from({ length: 150 }, (_, i) =>
        i % 3 === 0
          ? { video: clips[i % clips.length] as string }
          : { text: `number ${i} ${'and '.repeat(i % 40)}` },
      )
      const [left, right] = await Promise.all([gpu.embedMany(items), cpu.embedMany(items)])
      for (const [i, settled] of left.entries()) {
        const other = right[i]
        if (settled.status === 'rejected' || other?.status !== 'fulfilled')
          throw new Error(`item ${i} failed`)
        expectSame(settled.value.embedding, other.value.embedding)
      }
    })
  })

  it('reports the device that it runs on', async () => {
    await using gpu = await createEmbedder(onGpu(model, major))
    const { device, engine } = gpu.info()
    expect(engine).toMatchObject({ backend: 'tensorrt', version: versions[major], library: tensorrt(major) })
    expect(device).toMatchObject({ kind: 'cuda', reason: expect.stringContaining('Fake H200') })
  })

  it('refuses a model whose graphs are not those that the engines were built from', async () => {
    const other = toyModel('other')
    await expect(createEmbedder(onGpu(other, major))).rejects.toThrow(ModelError)
    await expect(createEmbedder(onGpu(other, major))).rejects.toThrow(/cosmos-embed build-engine --model/)
    await using embedder = await createEmbedder({ ...onGpu(other, major), device: 'auto' })
    expect(embedder.info().device).toMatchObject({
      kind: 'cpu',
      reason: expect.stringContaining('build-engine'),
    })
  })

  it('uses two GPUs, each with its own items', async () => {
    const base = onGpu(model, major)
    await using gpu = await createEmbedder({ ...base, cuda: { ...base.cuda, devices: 'all' } })
    const settled = await gpu.embedMany([...clips, ...clips].map((video) => ({ video })))
    expect(settled.every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(gpu.stats().gpus.map(({ nvdec }) => nvdec > 0)).toEqual([true, true])
  })

  it('decodes on the CPU what the CPU decodes faster', async () => {
    const base = onGpu(model, major)
    await using gpu = await createEmbedder({ ...base, cuda: { ...base.cuda, cpuWorkers: 2 } })
    const { media } = await gpu.embedVideo(clips[0] as string)
    expect(media).toMatchObject({ decoder: 'software', decoderReason: expect.stringContaining('CPU') })
  })

  it('rejects with a typed error when memory is short, and leaks nothing', async () => {
    for (const call of [1, 2, 3, 5, 8, 13]) {
      faults(`cuMemAlloc_v2=2@${call}+`)
      const outcome = await createEmbedder(onGpu(model, major)).catch((error) => error)
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(OutOfMemoryError)
      else await outcome.dispose()
    }
    faults('')
    await using gpu = await createEmbedder(onGpu(model, major))
    expect((await gpu.embedText('fine again')).embedding).toHaveLength(8)
  })
})

// Last in this process, because the device stays lost.
describe.skipIf(noFakes)('a lost GPU', () => {
  it('fails running and later calls, and reports that it is not ready', async () => {
    const model = toyModel('lost')
    await buildEngines(model, 10)
    await using gpu = await createEmbedder(onGpu(model, 10))
    await gpu.embedText('before')
    expect(gpu.status()).toEqual({ ready: true })
    faults('run:cuMemcpyDtoHAsync_v2=700@1')
    const results = await Promise.allSettled(texts.map((text) => gpu.embedText(text)))
    expect(results.some(({ status }) => status === 'rejected')).toBe(true)
    faults('')
    await expect(gpu.embedText('after')).rejects.toThrow(DeviceLostError)
    await expect(gpu.embedVideo(clips[0] as string)).rejects.toThrow(DeviceLostError)
    expect(gpu.status()).toMatchObject({ ready: false, code: 'device_lost' })
  })
})

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

function expectSame(found: Float32Array | undefined, expected: Float32Array | undefined) {
  expect(found?.length).toBe(expected?.length)
  const difference = found?.map((value, i) => Math.abs(value - (expected?.[i] ?? Number.NaN)))
  expect(Math.max(...(difference ?? [Number.NaN]))).toBeLessThan(2e-5)
}
