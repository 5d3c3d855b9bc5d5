import { describe, expect, it } from 'vitest'
import type { SegmentOptions, TextInput } from '../../src/index.ts'
import { vectorOf } from './double.ts'
import { clip, failureOf, nothingLeft, open, turns } from './support.ts'

describe('embedMany', () => {
  it('settles each item separately, in order', async () => {
    const { embedder } = await open()
    const settled = await embedder.embedMany([
      { text: 'a' },
      { video: clip(3) },
      { video: clip(255) },
      { text: '  ' },
      { text: 'bb' },
    ])
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ])
    expect(settled[1]).toMatchObject({ value: { embedding: vectorOf(3) } })
    expect(settled[2]).toMatchObject({ reason: { code: 'media', index: 2 } })
    expect(settled[3]).toMatchObject({ reason: { code: 'invalid_request', index: 3 } })
  })

  it('waits for room instead of failing, and respects the limits', async () => {
    const both = await open({ limits: { maxItemsInFlight: 64 } })
    both.double.encoding.held = true
    const many = both.embedder.embedMany(Array.from({ length: 300 }, (_, i) => ({ video: clip(i % 200) })))
    await turns(50)
    expect(both.embedder.stats().inFlight.items).toBeLessThanOrEqual(64)
    both.double.encoding.open()
    const settled = await many
    expect(settled.every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(settled.length).toBe(300)
    nothingLeft(both)
  })

  it('reads an async iterable no faster than it embeds', async () => {
    const both = await open()
    both.double.encoding.held = true
    let read = 0
    const source = async function* () {
      for (; read < 200; read++) yield { video: clip(read) }
    }
    const totals = new Set<number>()
    const many = both.embedder.embedMany(source(), { onProgress: ({ total }) => totals.add(total) })
    await turns(50)
    expect(read).toBeLessThan(100)
    both.double.encoding.open()
    expect((await many).length).toBe(200)
    expect(Math.max(...totals)).toBe(200)
    nothingLeft(both)
  })

  it('stops with the reason of the signal, even when the iterable hangs', async () => {
    const both = await open()
    const controller = new AbortController()
    let returned = false
    const source: AsyncIterable<TextInput> = {
      [Symbol.asyncIterator]: () => {
        let count = 0
        return {
          next: () =>
            count++ < 3 ? Promise.resolve({ value: { text: 'a' }, done: false }) : new Promise(() => {}),
          return: async () => {
            returned = true
            return { value: undefined, done: true }
          },
        }
      },
    }
    const many = failureOf(both.embedder.embedMany(source, { signal: controller.signal }))
    await turns(10)
    controller.abort('enough')
    expect(await many).toBe('enough')
    expect(returned).toBe(true)
    nothingLeft(both)
  })

  it('rejects when the iterable throws, and cancels the items in progress', async () => {
    const both = await open()
    both.double.decoding.held = true
    const oops = new Error('disk gone')
    const failure = await failureOf(
      both.embedder.embedMany(
        (function* () {
          yield { video: clip(1) }
          throw oops
        })(),
      ),
    )
    expect(failure).toBe(oops)
    nothingLeft(both)
  })

  it('refuses what is not a list', async () => {
    const { embedder } = await open()
    expect(await failureOf(embedder.embedMany('abc' as unknown as TextInput[]))).toMatchObject({
      code: 'invalid_argument',
    })
    expect(await embedder.embedMany([])).toEqual([])
  })
})

describe('segments', () => {
  it('returns one vector per window, in order, in one pass', async () => {
    const both = await open()
    const seen = []
    for await (const segment of both.embedder.segments(clip(10, 5), { windowSeconds: 4, strideSeconds: 2 }))
      seen.push(segment)
    expect(seen.map(({ start, end }) => [start, end])).toEqual([
      [0, 4],
      [2, 6],
      [4, 8],
      [6, 10],
      [8, 12],
    ])
    expect(seen.map(({ embedding }) => embedding)).toEqual([10, 11, 12, 13, 14].map(vectorOf))
    expect(both.embedder.stats().items.video).toBe(5)
    nothingLeft(both)
  })

  it('decodes the next window while the previous one is encoded', async () => {
    const both = await open()
    both.double.encoding.held = true
    const segments = both.embedder.segments(clip(10, 3), { windowSeconds: 1 })
    const first = segments.next()
    await turns(20)
    expect(both.double.encoding.jobs.length).toBe(1)
    expect(both.double.clipsAlive, 'the window being encoded and the one decoded meanwhile').toBe(2)
    both.double.encoding.open()
    expect((await first).value).toMatchObject({ start: 0 })
    expect(await segments.return?.()).toMatchObject({ done: true })
    nothingLeft(both)
  })

  it('closes the video when the loop is left', async () => {
    const both = await open()
    for await (const segment of both.embedder.segments(clip(10, 100), { windowSeconds: 1 })) {
      if (segment.start >= 3) break
    }
    nothingLeft(both)
    expect(both.embedder.stats().requests).toMatchObject({ succeeded: 1, cancelled: 0, failed: 0 })
  })

  it('rejects when a window cannot be decoded, after the windows before it', async () => {
    const both = await open()
    const starts: number[] = []
    const failure = await failureOf(
      (async () => {
        for await (const { start } of both.embedder.segments(clip(253, 9), { windowSeconds: 1 }))
          starts.push(start)
      })(),
    )
    expect(failure).toMatchObject({ code: 'media' })
    expect(starts).toEqual([0, 1])
    nothingLeft(both)
  })

  it('ends with the reason of the signal, also while its consumer is busy', async () => {
    const both = await open()
    const controller = new AbortController()
    const segments = both.embedder.segments(clip(1, 100), { windowSeconds: 1, signal: controller.signal })
    await segments.next()
    controller.abort('enough')
    await turns()
    nothingLeft(both)
    expect(await failureOf(segments.next())).toBe('enough')
    expect(await segments.next()).toMatchObject({ done: true })
    expect(both.embedder.stats().requests).toMatchObject({ total: 1, cancelled: 1 })
  })

  it('is closed by dispose while its consumer is busy', async () => {
    const both = await open()
    const segments = both.embedder.segments(clip(1, 100), { windowSeconds: 1 })
    await segments.next()
    await both.embedder.dispose()
    expect(both.double.enginesOpen).toBe(0)
    nothingLeft(both)
    expect(await failureOf(segments.next())).toMatchObject({ code: 'closed' })
  })

  it('divides a video at cuts, or into shots', async () => {
    const { embedder, double } = await open()
    const divide = async (options: object) => {
      for await (const _ of embedder.segments(clip(1, 1), options as SegmentOptions));
      return double.windows.at(-1)
    }
    expect(await divide({ at: [] })).toEqual({ cuts: [] })
    expect(await divide({ at: [0, 1.5, 7] })).toEqual({ cuts: [0, 1.5, 7] })
    expect(await divide({ shots: true })).toEqual({ shots: { threshold: 14, minSeconds: 0.5 } })
    expect(await divide({ shots: {} })).toEqual({ shots: { threshold: 14, minSeconds: 0.5 } })
    expect(await divide({ shots: { minSeconds: 0 } })).toEqual({ shots: { threshold: 14, minSeconds: 0 } })
    expect(await divide({ shots: { threshold: 30, minSeconds: 2 } })).toEqual({
      shots: { threshold: 30, minSeconds: 2 },
    })
    expect(await divide({ windowSeconds: 2 })).toEqual({ seconds: 2, stride: 2 })
  })

  it.each([
    [{}, 'exactly one of windowSeconds, at and shots must be given; none is given'],
    [{ windowSeconds: 1, shots: true }, 'windowSeconds and shots are given'],
    [{ at: [1], shots: {} }, 'at and shots are given'],
    [{ at: [1], strideSeconds: 1 }, 'options.strideSeconds: needs windowSeconds'],
    [{ at: [2, 1] }, 'options.at: must be ascending seconds'],
    [{ at: [1, 1] }, 'options.at: must be ascending seconds'],
    [{ at: [-1] }, 'options.at'],
    [{ at: 3 }, 'options.at'],
    [{ shots: false }, 'options.shots'],
    [{ shots: { threshold: 0 } }, 'options.shots.threshold'],
    [{ shots: { minSeconds: -1 } }, 'options.shots.minSeconds'],
    [{ shots: { min: 1 } }, 'options.shots'],
  ])('refuses to divide a video by %j', async (options, message) => {
    const { embedder } = await open()
    const failure = await failureOf(embedder.segments(clip(1, 1), options as SegmentOptions).next())
    expect(failure).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(message),
    })
  })

  it('refuses windows of length 0', async () => {
    const { embedder } = await open()
    for (const windowSeconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const failure = await failureOf(embedder.segments(clip(1, 1), { windowSeconds }).next())
      expect(failure).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining('windowSeconds'),
      })
    }
    const failure = await failureOf(
      embedder.segments(clip(1, 1), { windowSeconds: 1, strideSeconds: 0 }).next(),
    )
    expect(failure).toMatchObject({ message: expect.stringContaining('strideSeconds') })
  })

  it('ends immediately for a video without windows', async () => {
    const both = await open()
    expect(await both.embedder.segments(clip(1, 0), { windowSeconds: 1 }).next()).toMatchObject({
      done: true,
    })
    nothingLeft(both)
  })
})
