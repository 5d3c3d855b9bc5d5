import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { stopGraceMs } from '../../src/base/native-job.ts'
import { openEmbedder } from '../../src/embedder.ts'
import type { EmbedderOptions } from '../../src/index.ts'
import { BindingDouble, vectorOf } from './double.ts'
import { clip, failureOf, model, nothingLeft, onnxruntime, open, turns } from './support.ts'

describe('dispose', () => {
  it('cancels running calls, frees the engine, and refuses new calls', async () => {
    const both = await open()
    both.double.encoding.held = true
    both.double.decoding.held = true
    const running = [
      failureOf(both.embedder.embedText('a')),
      failureOf(both.embedder.embedVideo(clip(1))),
      failureOf(both.embedder.embedMany([{ text: 'a' }, { video: clip(2) }])),
      failureOf(both.embedder.segments(clip(3, 9), { windowSeconds: 1 }).next()),
    ]
    await turns()
    await both.embedder.dispose()
    expect(both.double.enginesOpen).toBe(0)
    for (const failure of await Promise.all(running)) expect(failure).toMatchObject({ code: 'closed' })
    await turns()
    nothingLeft(both)
    for (const late of [
      both.embedder.embedText('a'),
      both.embedder.embed({ request_type: 'query', input: 'a' }),
      both.embedder.embedMany([]),
      both.embedder.segments(clip(1, 1), { windowSeconds: 1 }).next(),
    ]) {
      expect(await failureOf(late)).toMatchObject({ code: 'closed', status: 503 })
    }
  })

  it('with drain finishes a window that is being waited for, but does not wait for a paused loop', async () => {
    for (const pulled of [0, 1, 3]) {
      const both = await open()
      const segments = both.embedder.segments(clip(10, 9), { windowSeconds: 1 })
      for (let i = 0; i < pulled; i++) expect((await segments.next()).done).toBe(false)
      await turns()
      both.double.encoding.held = true
      const wanted = both.embedder.segments(clip(20, 9), { windowSeconds: 1 })
      const window = wanted.next()
      while (both.double.encoding.jobs.length === 0) await turns(1)
      const disposed = both.embedder.dispose({ drain: true })
      await turns()
      both.double.encoding.open()
      expect((await window).value).toMatchObject({ embedding: vectorOf(20) })
      await disposed
      expect(await failureOf(wanted.next())).toMatchObject({ code: 'closed' })
      expect(await failureOf(segments.next())).toMatchObject({ code: 'closed' })
      nothingLeft(both)
    }
  })

  it('with drain finishes running calls first', async () => {
    const both = await open()
    both.double.encoding.held = true
    const running = both.embedder.embedText('a')
    await turns()
    let disposed = false
    const end = both.embedder.dispose({ drain: true }).then(() => {
      disposed = true
    })
    await turns()
    expect([disposed, both.double.enginesOpen]).toEqual([false, 1])
    both.double.encoding.open()
    expect((await running).embedding).toEqual(vectorOf(3))
    await end
    expect(both.double.enginesOpen).toBe(0)
  })

  it('without drain overrides an earlier one with it; all calls wait for the same end', async () => {
    const both = await open()
    both.double.encoding.held = true
    const running = failureOf(both.embedder.embedText('a'))
    await turns()
    const ends = [
      both.embedder.dispose({ drain: true }),
      both.embedder.dispose(),
      both.embedder[Symbol.asyncDispose](),
    ]
    await Promise.all(ends)
    expect(await running).toMatchObject({ code: 'closed' })
    expect(both.double.enginesOpen).toBe(0)
    await both.embedder.dispose({ drain: true })
  })
})

describe('a decoder that does not stop', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  it('delays neither its caller nor dispose, and keeps its place', async () => {
    const both = await open({ decode: { concurrency: 1 } })
    const { embedder, double } = both
    Object.assign(double.decoding, { held: true, deaf: true })
    const abort = new AbortController()
    const aborted = failureOf(embedder.embedVideo(clip(1), { signal: abort.signal }))
    await turns()
    abort.abort('enough')
    await turns()
    expect(double.decoding.jobs).toMatchObject([{ cancelled: true, unrefed: false }])
    await vi.advanceTimersByTimeAsync(stopGraceMs)
    expect(await aborted).toBe('enough')
    expect(double.decoding.jobs).toMatchObject([{ unrefed: true }])
    expect(vi.getTimerCount(), 'nothing else keeps the process').toBe(0)
    expect(embedder.stats().queues.decode).toEqual({ waiting: 0, running: 1 })

    const next = embedder.embedVideo(clip(2))
    await turns()
    expect(double.decoded).toEqual([1])
    double.decoding.jobs[0]?.fail({ code: 'cancelled' })
    await turns()
    expect(double.decoded).toEqual([1, 2])
    double.decoding.jobs[0]?.finish()
    expect((await next).embedding).toEqual(vectorOf(2))

    const ends = [
      failureOf(embedder.embedVideo(clip(3))),
      failureOf(embedder.segments(clip(4, 9), { windowSeconds: 1 }).next()),
    ]
    await turns()
    const disposed = embedder.dispose()
    await turns()
    expect(double.enginesOpen).toBe(1)
    await vi.advanceTimersByTimeAsync(stopGraceMs)
    for (const end of await Promise.all(ends)) expect(end).toMatchObject({ code: 'closed' })
    await disposed
    expect(double.enginesOpen).toBe(0)
    double.decoding.jobs[0]?.fail({ code: 'cancelled' })
    await turns()
    nothingLeft(both)
  })

  it('ends a drain by its own time limit', async () => {
    const both = await open({ decode: { limits: { maxWallSeconds: 60 } } })
    Object.assign(both.double.decoding, { held: true, deaf: true })
    const ended = failureOf(both.embedder.embedVideo(clip(1)))
    await turns()
    const disposed = both.embedder.dispose({ drain: true })
    await vi.advanceTimersByTimeAsync(60_000 + stopGraceMs - 1)
    expect(both.double.enginesOpen).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await ended).toMatchObject({ code: 'timeout', details: { limit: 60 } })
    await disposed
    expect(both.double.enginesOpen).toBe(0)
    both.double.decoding.jobs[0]?.fail({ code: 'timeout' })
    await turns()
    nothingLeft(both)
  })
})

describe('creation', () => {
  it('names the wrong option', async () => {
    const wrong: [object, string][] = [
      [{ modle: 'x' }, 'modle'],
      [{ device: 'tpu' }, 'options.device'],
      [{ decode: { concurrency: 0 } }, 'options.decode.concurrency'],
      [{ batching: { maxVideoBatch: 1.5 } }, 'options.batching.maxVideoBatch'],
      [{ limits: { maxItemsInFlight: 63 } }, 'options.limits.maxItemsInFlight'],
      [{ limits: { maxItems: -1 } }, 'options.limits.maxItems'],
      [{ urls: 'some' }, 'options.urls'],
    ]
    for (const [options, name] of wrong) {
      expect(await failureOf(open(options as EmbedderOptions))).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining(name),
      })
    }
  })

  it('describes the embedder', async () => {
    const { embedder } = await open({ servedNames: ['alias', 'test/tiny'], batching: { maxVideoBatch: 5 } })
    expect(embedder.info()).toMatchObject({
      model: {
        id: 'test/tiny',
        servedNames: ['alias', 'test/tiny'],
        frames: 8,
        height: 16,
        width: 16,
        embeddingDim: 16,
      },
      engine: { backend: 'onnxruntime' },
      limits: {
        maxVideoBatch: 5,
        maxTextBatch: 64,
        input: { maxItems: 64, maxItemsInFlight: 512, maxBytesInFlight: 1024 ** 3 },
      },
      urls: 'public',
    })
    expect(embedder.info().model.fingerprint).toMatch(/^[0-9a-f]{32}$/)
    embedder.info().model.servedNames.push('changed')
    expect(embedder.info().model.servedNames).not.toContain('changed')
  })

  it('can be aborted at any time, and leaves nothing open', async () => {
    expect(await failureOf(open({ signal: AbortSignal.abort('early') }))).toBe('early')
    const double = new BindingDouble()
    double.creating.held = true
    const controller = new AbortController()
    const creating = failureOf(openEmbedder({ model, onnxruntime, signal: controller.signal }, double))
    while (double.creating.jobs.length === 0) await turns(1)
    controller.abort('late')
    // The engine may be created before the cancellation takes effect.
    double.creating.open()
    expect(await creating).toBe('late')
    expect([double.enginesOpen, double.runningJobs]).toEqual([0, 0])
  })

  it('ignores its signal afterwards', async () => {
    const controller = new AbortController()
    const { embedder } = await open({ signal: controller.signal })
    controller.abort()
    expect((await embedder.embedText('a')).tokens).toBe(3)
  })
})

describe('stats and observers', () => {
  it('count what happened', async () => {
    const { embedder } = await open()
    await embedder.embed({ request_type: 'bulk_text', input: ['a', 'bb'] })
    await embedder.embedVideo(clip(1))
    const stats = embedder.stats()
    expect(stats).toMatchObject({
      items: { text: 2, video: 1, frames: 0 },
      tokens: 7,
      cancelled: 0,
      batches: {
        text: { count: 1, items: 2, sizes: { 2: 1 } },
        video: { count: 1, items: 1, sizes: { 1: 1 } },
      },
    })
    expect(stats.stages.decode).toMatchObject({ count: 1, sum: 2, p50: 2, p99: 2, max: 2 })
    expect(stats.stages.encode.count).toBe(3)
    expect(stats.stages.download.count).toBe(0)
  })

  it('report every item to a listener until it is removed', async () => {
    const { embedder } = await open()
    const seen: string[] = []
    const stop = embedder.observe(({ kind, priority, outcome, code }) =>
      seen.push([kind, priority, outcome, code].join(' ')),
    )
    await embedder.embedText('a')
    await embedder.embedMany([{ video: clip(255) }])
    await failureOf(embedder.embedVideo(clip(1), { signal: AbortSignal.abort() }))
    stop()
    await embedder.embedText('a')
    expect(seen).toEqual(['text query ok ', 'video bulk error media'])
  })
})
