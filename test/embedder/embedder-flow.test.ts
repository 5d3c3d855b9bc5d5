import { describe, expect, it, onTestFinished } from 'vitest'
import { type BindingDouble, vectorOf } from './double.ts'
import { clip, failureOf, nothingLeft, open, turns } from './support.ts'

describe('abort', () => {
  const stages = {
    'before the call': async (_: BindingDouble, abort: () => void) => abort(),
    'while it is decoded': async (double: BindingDouble, abort: () => void) => {
      double.decoding.held = true
      while (double.decoding.jobs.length === 0) await turns(1)
      abort()
    },
    'while it is encoded': async (double: BindingDouble, abort: () => void) => {
      double.encoding.held = true
      while (double.encoding.jobs.length === 0) await turns(1)
      abort()
      await turns()
      double.encoding.open()
    },
  }

  it.each(Object.entries(stages))('%s rejects with the reason and leaves nothing', async (_, arrange) => {
    const both = await open()
    const controller = new AbortController()
    const reason = { any: 'value' }
    const early = arrange === stages['before the call']
    if (early) controller.abort(reason)
    else if (arrange === stages['while it is decoded']) both.double.decoding.held = true
    else both.double.encoding.held = true
    const failure = failureOf(both.embedder.embedVideo(clip(1), { signal: controller.signal }))
    await arrange(both.double, () => controller.abort(reason))
    expect(await failure).toBe(reason)
    await turns()
    nothingLeft(both)
    expect(both.embedder.stats().requests.cancelled).toBe(1)
  })

  it('reaches items that wait for a decoder', async () => {
    const both = await open({ decode: { concurrency: 1 } })
    both.double.decoding.held = true
    const controller = new AbortController()
    const running = both.embedder.embedVideo(clip(1))
    const waiting = failureOf(both.embedder.embedVideo(clip(2), { signal: controller.signal }))
    await turns()
    controller.abort('gone')
    expect(await waiting).toBe('gone')
    both.double.decoding.open()
    expect((await running).embedding).toEqual(vectorOf(1))
    expect(both.double.decoded).toEqual([1])
    nothingLeft(both)
  })

  it('of one item does not affect the others of its batch', async () => {
    const both = await open()
    both.double.encoding.held = true
    const controller = new AbortController()
    const doomed = failureOf(both.embedder.embedText('a', { signal: controller.signal }))
    const other = both.embedder.embedText('bb')
    while (both.double.encoding.jobs.length === 0) await turns(1)
    expect(both.double.batches).toMatchObject([{ kind: 'text', size: 2, ids: [3, 4] }])
    controller.abort('gone')
    expect(await doomed).toBe('gone')
    expect(both.double.encoding.jobs[0]?.cancelled).toBe(false)
    both.double.encoding.open()
    expect((await other).embedding).toEqual(vectorOf(4))
  })

  it('of a whole batch cancels the native job', async () => {
    const both = await open()
    both.double.encoding.held = true
    const controller = new AbortController()
    const doomed = failureOf(
      both.embedder.embed(
        { request_type: 'bulk_text', input: ['a', 'b', 'c'] },
        { signal: controller.signal },
      ),
    )
    while (both.double.encoding.jobs.length === 0) await turns(1)
    const [job] = both.double.encoding.jobs
    controller.abort('gone')
    expect(await doomed).toBe('gone')
    expect(job?.cancelled).toBe(true)
  })

  it('lets a thousand items share one signal without a warning', async () => {
    const warnings: Error[] = []
    const listener = (warning: Error) => warnings.push(warning)
    process.on('warning', listener)
    onTestFinished(() => void process.off('warning', listener))
    const both = await open({ limits: { maxItemsInFlight: 5000 } })
    both.double.encoding.held = true
    const controller = new AbortController()
    const { signal } = controller
    const all = Array.from({ length: 1000 }, () => failureOf(both.embedder.embedText('a', { signal })))
    const many = failureOf(both.embedder.embedMany(Array(1000).fill({ text: 'b' }), { signal }))
    await turns(20)
    controller.abort('gone')
    expect(new Set(await Promise.all([...all, many]))).toEqual(new Set(['gone']))
    await turns()
    nothingLeft(both)
    expect(warnings).toEqual([])
  })
})

describe('scheduling', () => {
  it('decodes and encodes queries before bulk', async () => {
    const { embedder, double } = await open({ decode: { concurrency: 1 }, batching: { maxVideoBatch: 1 } })
    double.decoding.held = true
    const bulk = embedder.embedMany([1, 2, 3].map((id) => ({ video: clip(id) })))
    await turns()
    const query = embedder.embedVideo(clip(9))
    await turns()
    double.decoding.open()
    await Promise.all([bulk, query])
    expect(double.decoded.indexOf(9)).toBe(1)
  })

  it('gives a single clip all threads, and several clips one each', async () => {
    const { embedder, double } = await open({ decode: { concurrency: 4, threads: 6 } })
    await embedder.embedVideo(clip(1))
    double.decoding.held = true
    const several = [1, 2, 3].map((id) => embedder.embedVideo(clip(id)))
    await turns()
    double.decoding.open()
    await Promise.all(several)
    expect(double.clipOptions.map(({ threads }) => threads)).toEqual([6, 1, 1, 1])
  })

  it('limits how far decoding runs ahead of the engine', async () => {
    const both = await open({ decode: { concurrency: 3 }, batching: { maxVideoBatch: 2 } })
    both.double.encoding.held = true
    const all = Array.from({ length: 100 }, (_, i) => both.embedder.embedVideo(clip(i), { priority: 'bulk' }))
    await turns(200)
    expect(both.double.clipsAlive).toBe(3 + 2 * 2)
    both.double.encoding.open()
    await Promise.all(all)
    expect(both.double.mostClipsAlive).toBe(3 + 2 * 2)
    expect(Math.max(...both.double.batches.map(({ size }) => size))).toBe(2)
    nothingLeft(both)
  })

  it('limits how far streams are read ahead of the decoders', async () => {
    const MiB = 1024 * 1024
    const both = await open({ decode: { concurrency: 1 }, limits: { maxBytesInFlight: 10 * MiB } })
    both.double.decoding.held = true
    let read = 0
    const stream = async function* () {
      yield clip(1)
      for (let piece = 0; piece < 12; piece++) yield new Uint8Array(MiB / 4)
      read++
    }
    const all = Array.from({ length: 20 }, () => both.embedder.embedVideo(stream()))
    await turns(200)
    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThan(4)
    // Streams that wait for room have started and hold a first small chunk.
    expect(both.embedder.stats().inFlight.bytes).toBeLessThan(14 * MiB)
    both.double.decoding.open()
    await Promise.all(all)
    nothingLeft(both)
  })

  it('lets items of different calls share a batch', async () => {
    const { embedder, double } = await open()
    double.encoding.held = true
    const first = embedder.embedText('a')
    while (double.encoding.jobs.length === 0) await turns(1)
    const others = ['a', 'bb', 'ccc'].map((text) => embedder.embedText(text))
    await turns()
    double.encoding.open()
    await Promise.all([first, ...others])
    expect(double.batches.map(({ size }) => size)).toEqual([1, 3])
  })
})

describe('admission', () => {
  it('refuses a request as a whole, and says when to retry', async () => {
    const both = await open({ limits: { maxItemsInFlight: 64 } })
    both.double.encoding.held = true
    const texts = (count: number) =>
      both.embedder.embed({ request_type: 'query', input: Array(count).fill('a') }, { whenFull: 'refuse' })
    const held = texts(60)
    await turns()
    expect(await failureOf(texts(5))).toMatchObject({
      code: 'overloaded',
      status: 429,
      retryAfter: expect.any(Number),
    })
    expect(await failureOf(texts(64))).toMatchObject({ code: 'overloaded' })
    const fits = texts(4)
    await turns()
    expect(await failureOf(both.embedder.embedText('a', { whenFull: 'refuse' }))).toMatchObject({
      code: 'overloaded',
    })
    expect(both.embedder.stats().inFlight).toEqual({ items: 64, bytes: 0, requests: 2 })
    both.double.encoding.open()
    await Promise.all([held, fits])
    expect(both.embedder.stats().requests).toEqual({
      total: 5,
      succeeded: 2,
      failed: 0,
      cancelled: 0,
      rejected: 3,
    })
    nothingLeft(both)
  })

  it('counts bytes, and refuses too many without suggesting a retry', async () => {
    const both = await open({ limits: { maxBytesInFlight: 100 } })
    both.double.encoding.held = true
    const held = both.embedder.embedVideo(new Uint8Array(60))
    await turns()
    expect(
      await failureOf(both.embedder.embedVideo(new Uint8Array(41), { whenFull: 'refuse' })),
    ).toMatchObject({
      code: 'overloaded',
    })
    const tooLarge = new Uint8Array(101)
    for (const failing of [
      both.embedder.embedVideo(tooLarge),
      both.embedder.embed({ request_type: 'query', input: { video: tooLarge } }),
      both.embedder.segments(tooLarge, { windowSeconds: 1 }).next(),
    ]) {
      expect(await failureOf(failing)).toMatchObject({
        code: 'request_too_large',
        message: expect.stringContaining('maxBytesInFlight 100'),
      })
    }
    both.double.encoding.open()
    await held
    nothingLeft(both)
  })
})
