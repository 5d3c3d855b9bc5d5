/** Embedding on GPUs: lanes, several GPUs, and a lost GPU. */
import { describe, expect, it } from 'vitest'
import type { EmbedderOptions } from '../../src/index.ts'
import { vectorOf } from './double.ts'
import { engines, h200, machineWith } from './gpu-support.ts'
import { clip, failureOf, nothingLeft, turns } from './support.ts'

const engineCache = await engines()

async function onGpus(count: number, options: EmbedderOptions = {}) {
  const { double, open } = machineWith(Array.from({ length: count }, (_, device) => h200(device)))
  const embedder = await open({
    device: 'cuda',
    ...options,
    cuda: { engineCache, devices: 'all', ...options.cuda },
  })
  return { embedder, double }
}

/** Number of items given to each GPU. */
const share = (batches: readonly { device: 'cpu' | number; size: number }[], gpus: number) =>
  Array.from({ length: gpus }, (_, device) =>
    batches.reduce((sum, batch) => sum + (batch.device === device ? batch.size : 0), 0),
  )

describe('one GPU', () => {
  it('decodes the clips, and counts the wait for NVDEC as queueing', async () => {
    const both = await onGpus(1)
    const { embedding, media, timings } = await both.embedder.embedVideo(clip(5))
    expect(embedding).toEqual(vectorOf(5))
    expect(media).toMatchObject({ decoder: 'nvdec', decoderReason: '' })
    expect(media).not.toHaveProperty('waitMs')
    expect(timings.queue).toBeGreaterThanOrEqual(100)
    expect(both.double.clipOptions[0]?.gpu?.info.device).toBe(0)
    expect(both.embedder.stats().gpus).toMatchObject([{ device: 0, nvdec: 1, software: 0, lost: false }])
    nothingLeft(both)
    await both.embedder.dispose()
    expect([both.double.gpusOpen, both.double.enginesOpen, both.double.misuse]).toEqual([0, 0, []])
    expect(both.embedder.stats().gpus).toMatchObject([{ device: 0, nvdec: 1 }])
  })

  it('tells the decoder how many clips of a bulk job wait behind a clip, so that the CPU helps', async () => {
    for (const priority of ['bulk', 'query'] as const) {
      const both = await onGpus(1, { cuda: { nvdecWorkers: 2, cpuWorkers: 1 } })
      both.double.decoding.held = true
      const videos = [1, 2, 3, 4, 5, 6].map((id) => both.embedder.embedVideo(clip(id), { priority }))
      for (let ended = 0; ended < videos.length; ended += 1) {
        while (both.double.decoding.jobs.length === 0) await turns(1)
        await turns(6)
        both.double.decoding.jobs[0]?.finish()
      }
      await Promise.all(videos)
      const backlogs = both.double.clipOptions.map(({ backlog }) => backlog)
      expect(backlogs).toEqual(priority === 'bulk' ? [3, 3, 3, 2, 1, 0] : [0, 0, 0, 0, 0, 0])
      await both.embedder.dispose()
    }
  })

  it('encodes a text while it is full of videos, and runs two batches of each kind', async () => {
    const both = await onGpus(1, { batching: { maxVideoBatch: 1 } })
    both.double.encoding.held = true
    const videos = [1, 2, 3].map((id) => both.embedder.embedVideo(clip(id)))
    while (both.double.encoding.jobs.length < 2) await turns(1)
    await turns()
    expect(both.double.batches.map(({ kind }) => kind)).toEqual(['video', 'video'])
    const text = both.embedder.embedText('a')
    while (both.double.encoding.jobs.length < 3) await turns(1)
    both.double.encoding.jobs[2]?.finish()
    expect((await text).embedding).toEqual(vectorOf(3))
    expect(both.embedder.stats().queues.encode.running).toBe(2)
    both.double.encoding.open()
    expect((await Promise.all(videos)).map(({ embedding }) => embedding)).toEqual([1, 2, 3].map(vectorOf))
    nothingLeft(both)
    await both.embedder.dispose()
  })

  it('bounds batches of texts by the tokens that they compute, padded to a multiple of 8', async () => {
    const both = await onGpus(1, { batching: { maxTextTokens: 64 } })
    const counts = Array.from({ length: 60 }, (_, i) => (i * 7) % 13)
    const results = await both.embedder.embedMany(counts.map((count) => ({ text: 'a '.repeat(count + 1) })))
    // The tokenizer adds two tokens.
    for (const [i, result] of results.entries()) {
      expect(result.status === 'fulfilled' && result.value.embedding).toEqual(vectorOf((counts[i] ?? 0) + 3))
    }
    for (const { ids } of both.double.batches) {
      expect(ids.length * Math.ceil(Math.max(...ids) / 8) * 8).toBeLessThanOrEqual(64)
    }
    expect(both.double.batches.length, 'batches of the tokens above').toBeLessThan(24)
    await both.embedder.dispose()
  })

  it('opens NVDEC beside decoder processes, and says what stays outside of them', async () => {
    const { double, open } = machineWith([h200(0)])
    const walls = { systemCalls: true, network: true, files: true, memory: true }
    const stats = { idle: 0, busy: 0, started: 0, crashed: 0, ended: 0, retired: 0 }
    const pool = { walls, close() {}, stats: () => stats }
    Object.assign(double, {
      openDecoderPool: () => ({ promise: Promise.resolve(pool), cancel() {}, unref() {} }),
    })
    for (const isolation of ['process', 'required'] as const) {
      const embedder = await open({ device: 'cuda', cuda: { engineCache }, decode: { isolation } })
      const { decoders, device } = embedder.info()
      const opened = [double.gpuOptions.at(-1)?.nvdec, device.kind === 'cuda' && device.gpus[0]?.nvdec]
      expect(opened).toMatchObject(['auto', { engines: 7, reason: '' }])
      expect(decoders).toEqual({ walls, outside: ["NVIDIA's video parser", "NVIDIA's driver"] })
      await embedder.dispose()
    }
  })

  it('that runs out of memory fails the running items, and continues', async () => {
    const both = await onGpus(1)
    both.double.encoding.held = true
    const failed = failureOf(both.embedder.embedText('a'))
    while (both.double.encoding.jobs.length === 0) await turns(1)
    both.double.encoding.jobs[0]?.fail({ code: 'out_of_memory', message: 'no memory left on GPU 0' })
    expect(await failed).toMatchObject({ code: 'out_of_memory', retryable: true })
    both.double.encoding.open()
    await both.embedder.embedText('a')
    expect(both.embedder.status()).toEqual({ ready: true })
    await both.embedder.dispose()
  })
})

describe('several GPUs', () => {
  it('share videos and texts evenly, each clip staying on its GPU', async () => {
    const both = await onGpus(3)
    both.double.encoding.held = true
    const items = Array.from({ length: 30 }, (_, i) => (i % 2 ? { text: 'a' } : { video: clip(i) }))
    const done = both.embedder.embedMany(items)
    while (share(both.double.batches, 3).reduce((sum, n) => sum + n, 0) < 30) await turns(1)
    both.double.encoding.open()
    for (const result of await done) expect(result.status).toBe('fulfilled')
    for (const kind of ['text', 'video']) {
      const batches = both.double.batches.filter((batch) => batch.kind === kind)
      expect(share(batches, 3)).toEqual([5, 5, 5])
    }
    expect(both.embedder.stats().gpus.map(({ nvdec }) => nvdec)).toEqual([5, 5, 5])
    nothingLeft(both)
    await both.embedder.dispose()
    expect([both.double.gpusOpen, both.double.enginesOpen, both.double.misuse]).toEqual([0, 0, []])
  })

  it('get new work where the load is lowest', async () => {
    const both = await onGpus(2)
    both.double.encoding.held = true
    const running = [1, 2].map((id) => both.embedder.embedVideo(clip(id)))
    while (both.double.encoding.jobs.length < 2) await turns(1)
    const second = both.double.batches.findIndex(({ device }) => device === 1)
    both.double.encoding.jobs[second]?.finish()
    await turns()
    const next = both.embedder.embedVideo(clip(3))
    while (both.double.batches.length < 3) await turns(1)
    expect(both.double.batches[2]?.device).toBe(1)
    both.double.encoding.open()
    await Promise.all([...running, next])
    await both.embedder.dispose()
  })

  it('keep a pass over segments on one GPU', async () => {
    const both = await onGpus(2)
    const passes = [10, 50].map(async (first) => {
      const devices = new Set<unknown>()
      for await (const { embedding } of both.embedder.segments(clip(first, 4), { windowSeconds: 1 })) {
        const id = [10, 11, 12, 13, 50, 51, 52, 53].find((each) => `${vectorOf(each)}` === `${embedding}`)
        devices.add(both.double.batches.find(({ ids }) => ids.includes(id ?? -1))?.device)
      }
      return [...devices]
    })
    expect((await Promise.all(passes)).sort()).toEqual([[0], [1]])
    nothingLeft(both)
    await both.embedder.dispose()
  })

  it.each(['ends', 'is left'])('are free again when a pass over segments %s', async (how) => {
    const both = await onGpus(2)
    for await (const _ of both.embedder.segments(clip(10, 4), { windowSeconds: 1 })) {
      if (how === 'is left') break
    }
    await both.embedder.embedVideo(clip(1))
    expect(both.double.batches.at(-1)?.device).toBe(0)
    nothingLeft(both)
    await both.embedder.dispose()
  })

  it('share the embedder’s limits, queues and counters', async () => {
    const both = await onGpus(2, { decode: { concurrency: 2 } })
    both.double.decoding.held = true
    const videos = [1, 2, 3, 4, 5].map((id) => both.embedder.embedVideo(clip(id)))
    while (both.double.decoding.jobs.length < 2) await turns(1)
    expect(both.embedder.stats().queues.decode).toEqual({ running: 2, waiting: 3 })
    both.double.decoding.open()
    await Promise.all(videos)
    expect(both.embedder.stats()).toMatchObject({ items: { video: 5 }, batches: { video: { items: 5 } } })
    await both.embedder.dispose()
  })
})

describe('a GPU that is lost', () => {
  const lost = { code: 'device_lost', message: 'CUDA error 700 on GPU 0' } as const

  it('fails running, waiting and later calls, and is reported', async () => {
    const both = await onGpus(2, { batching: { maxVideoBatch: 1 } })
    const events: (string | undefined)[] = []
    both.embedder.observe(({ outcome, code }) => events.push(`${outcome} ${code}`))
    both.double.encoding.held = true
    const rest = both.embedder.segments(clip(40, 3), { windowSeconds: 1 })
    const running = [
      failureOf(both.embedder.embedText('a')),
      failureOf(both.embedder.embedVideo(clip(1))),
      failureOf(both.embedder.embed({ request_type: 'bulk_text', input: ['a', 'b'] })),
      failureOf(both.embedder.embedMany([{ video: clip(2) }, { text: 'a' }])),
      failureOf(rest.next()),
    ]
    while (both.double.encoding.jobs.length < 3) await turns(1)
    both.double.encoding.jobs[0]?.fail(lost)
    for (const failure of await Promise.all(running)) {
      expect(failure).toMatchObject({ code: 'device_lost', status: 503 })
    }
    expect(both.embedder.status()).toEqual({ ready: false, code: 'device_lost', reason: lost.message })
    for (const late of [
      both.embedder.embedText('a'),
      both.embedder.embedMany([]),
      both.embedder.segments(clip(1, 1), { windowSeconds: 1 }).next(),
    ]) {
      expect(await failureOf(late)).toMatchObject({ code: 'device_lost', message: lost.message })
    }
    expect(new Set(events)).toEqual(new Set(['error device_lost']))
    expect(both.embedder.stats().requests).toMatchObject({ succeeded: 0, cancelled: 0 })
    await turns()
    nothingLeft(both)
    await both.embedder.dispose()
    expect(both.embedder.status()).toMatchObject({ ready: false, code: 'closed' })
    expect(await failureOf(both.embedder.embedText('a'))).toMatchObject({ code: 'closed' })
    expect([both.double.gpusOpen, both.double.enginesOpen, both.double.misuse]).toEqual([0, 0, []])
  })

  it('during decoding has the same effect', async () => {
    const both = await onGpus(1)
    both.double.decoding.held = true
    const many = failureOf(both.embedder.embedMany([{ video: clip(1) }]))
    const other = failureOf(both.embedder.embedVideo(clip(2)))
    while (both.double.decoding.jobs.length < 2) await turns(1)
    both.double.decoding.jobs[1]?.fail(lost)
    expect(await other).toMatchObject({ code: 'device_lost' })
    expect(await many).toMatchObject({ code: 'device_lost' })
    expect(both.embedder.status().ready).toBe(false)
    nothingLeft(both)
    await both.embedder.dispose()
  })

  it('ends a paused loop over segments', async () => {
    const both = await onGpus(1)
    const segments = both.embedder.segments(clip(40, 9), { windowSeconds: 1 })
    await segments.next()
    both.double.encoding.held = true
    const text = failureOf(both.embedder.embedText('a'))
    while (!both.double.batches.some(({ kind }) => kind === 'text')) await turns(1)
    both.double.encoding.jobs.at(-1)?.fail(lost)
    await text
    expect(await failureOf(segments.next())).toMatchObject({ code: 'device_lost' })
    await turns()
    nothingLeft(both)
    await both.embedder.dispose()
  })
})
