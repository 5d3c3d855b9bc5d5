import { describe, expect, it } from 'vitest'
import type { ItemEvent, Progress, Settled, TextInput, VideoInput } from '../../src/index.ts'
import { vectorOf } from './double.ts'
import { random } from './random.ts'
import { clip, failureOf, nothingLeft, open, turns } from './support.ts'

type KeyedVideo = VideoInput & { key: number }
const videos = (count: number): KeyedVideo[] =>
  Array.from({ length: count }, (_, id) => ({ video: clip(id % 200), key: id }))

/** A source that records reads. Each item takes `delay` microtasks. */
function watched<T>(items: Iterable<T>, delay: () => number = () => 0) {
  const source = {
    read: 0,
    returned: false,
    async *[Symbol.asyncIterator]() {
      try {
        for (const item of items) {
          source.read++
          await microtasks(delay())
          yield item
        }
      } finally {
        source.returned = true
      }
    },
  }
  return source
}

describe('embedStream', () => {
  it('yields each result with its key and its index', async () => {
    const both = await open()
    const seen = new Map<number, Settled<KeyedVideo>>()
    const items = [...videos(300), { video: clip(255), key: -1 }, { video: '', key: -2 }]
    for await (const result of both.embedder.embedStream(items)) seen.set(result.index, result)
    expect(seen.size).toBe(302)
    for (const [index, { key }] of items.entries()) expect(seen.get(index)?.key).toBe(key)
    expect(seen.get(7)).toMatchObject({ status: 'fulfilled', value: { embedding: vectorOf(7) } })
    expect(seen.get(300)).toMatchObject({ status: 'rejected', reason: { code: 'media', index: 300 } })
    expect(seen.get(301)).toMatchObject({ status: 'rejected', reason: { code: 'invalid_request' } })
    nothingLeft(both)
    expect(both.embedder.stats().requests).toMatchObject({ total: 1, succeeded: 1 })
  })

  it('does not let a slow item delay the others, unless they are ordered', async () => {
    for (const ordered of [false, true]) {
      const both = await open()
      both.double.decoding.held = true
      const stream = both.embedder.embedStream(videos(3), { ordered })
      const first = stream.next()
      await turns()
      const [slow, ...others] = both.double.decoding.jobs
      both.double.decoding.held = false
      for (const job of others) job.finish()
      await turns(20)
      slow?.finish()
      const order = [(await first).value, (await stream.next()).value, (await stream.next()).value]
      const indexes = order.map((result) => result?.index)
      if (ordered) expect(indexes).toEqual([0, 1, 2])
      else expect(indexes[2]).toBe(0)
      expect(await stream.next()).toMatchObject({ done: true })
      nothingLeft(both)
    }
  })

  it('reads at most `concurrency` items ahead of its consumer, even if that pauses', async () => {
    for (const ordered of [false, true]) {
      const both = await open()
      const source = watched(videos(40))
      let taken = 0
      for await (const _ of both.embedder.embedStream(source, { concurrency: 5, ordered })) {
        taken++
        await turns(taken % 7)
        expect(source.read - taken).toBeLessThanOrEqual(5)
      }
      expect([taken, source.read]).toEqual([40, 40])
      nothingLeft(both)
    }
  })

  it('reads nothing before the first turn of the loop, and nothing after an earlier abort', async () => {
    const { embedder } = await open()
    const source = watched(videos(3))
    embedder.embedStream(source)
    const stream = embedder.embedStream(source, { signal: AbortSignal.abort('no') })
    expect(await failureOf(stream.next())).toBe('no')
    await turns()
    expect(source.read).toBe(0)
  })

  it('stops the source and the items in progress when the loop is left', async () => {
    const both = await open()
    const source = watched(videos(1000))
    for await (const { index } of both.embedder.embedStream(source, { ordered: true })) {
      if (index < 20) continue
      both.double.decoding.held = true
      break
    }
    await turns()
    expect(source.returned).toBe(true)
    expect(source.read).toBeLessThan(120)
    nothingLeft(both)
    expect(both.embedder.stats().requests).toMatchObject({ succeeded: 1, failed: 0, cancelled: 0 })
  })

  it('ends with the reason of the signal, while it works and while its consumer is busy', async () => {
    for (const resting of [false, true]) {
      const both = await open()
      const controller = new AbortController()
      const source = watched(videos(1000))
      const stream = both.embedder.embedStream(source, { signal: controller.signal })
      await stream.next()
      both.double.decoding.held = true
      await turns(20)
      // Results that were ready are taken first.
      const next = resting ? undefined : failureOf(exhaust(stream))
      await turns(20)
      controller.abort('enough')
      await turns(20)
      nothingLeft(both)
      expect(source.returned).toBe(true)
      expect(await (next ?? failureOf(stream.next()))).toBe('enough')
      expect(await stream.next()).toMatchObject({ done: true })
      expect(both.embedder.stats().requests).toMatchObject({ total: 1, cancelled: 1 })
    }
  })

  it('is closed by dispose while its consumer is busy, with drain or without', async () => {
    for (const drain of [false, true]) {
      const both = await open()
      const stream = both.embedder.embedStream(videos(1000))
      await stream.next()
      await both.embedder.dispose({ drain })
      expect(both.double.enginesOpen).toBe(0)
      nothingLeft(both)
      expect(await failureOf(stream.next())).toMatchObject({ code: 'closed' })
    }
  })

  it('rejects with what the source or onProgress throws, and when the device is lost', async () => {
    const oops = new Error('the cursor broke')
    const both = await open()
    const broken = (function* () {
      yield* videos(3)
      throw oops
    })()
    expect(await failureOf(exhaust(both.embedder.embedStream(broken)))).toBe(oops)
    const onProgress = () => {
      throw oops
    }
    expect(await failureOf(exhaust(both.embedder.embedStream(videos(3), { onProgress })))).toBe(oops)
    both.double.encoding.held = true
    const lost = failureOf(exhaust(both.embedder.embedStream(videos(3))))
    await turns(20)
    both.double.encoding.jobs[0]?.fail({ code: 'device_lost', message: 'gone' })
    expect(await lost).toMatchObject({ code: 'device_lost' })
    nothingLeft(both)
  })

  it('reports the key in progress and in events', async () => {
    const { embedder } = await open()
    const progress: Progress[] = []
    const events: ItemEvent[] = []
    embedder.observe((event) => events.push(event))
    const items = [
      { text: 'a', key: 'first' },
      { video: clip(255), key: 'second' },
    ]
    await exhaust(embedder.embedStream(items, { onProgress: (one) => progress.push(one) }))
    expect(progress).toEqual([{ stage: 'encode', done: 1, total: 2, index: 0, key: 'first' }])
    expect(events.map(({ key, outcome }) => [key, outcome]).sort()).toEqual([
      ['first', 'ok'],
      ['second', 'error'],
    ])
    events.length = 0
    await embedder.embed({ request_type: 'query', input: { text: 'a', key: 7 } })
    expect(events.map(({ key }) => key)).toEqual([7])
  })

  it('refuses unknown options', async () => {
    const { embedder } = await open()
    for (const options of [{ concurrency: 0 }, { concurrency: 1.5 }, { ordered: 1 }, { order: true }]) {
      const stream = embedder.embedStream(videos(1), options as object)
      expect(await failureOf(stream.next())).toMatchObject({ code: 'invalid_argument' })
    }
    for (const items of ['abc', 7, null, undefined, {}]) {
      const stream = embedder.embedStream(items as unknown as TextInput[])
      expect(await failureOf(stream.next()), String(items)).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining('items'),
      })
    }
    expect(await embedder.embedStream([]).next()).toMatchObject({ done: true })
  })

  it('keeps its guarantees whatever the items, the concurrency and the order', async () => {
    for (let seed = 1; seed <= 100; seed++) await keepsItsPromises(seed)
  })
})

async function keepsItsPromises(seed: number): Promise<void> {
  const below = random(seed)
  const both = await open()
  const concurrency = 1 + below(9)
  const ordered = below(2) === 1
  const count = below(41)
  const bad = new Set(Array.from({ length: 5 }, () => below(41)))
  const source = watched(
    Array.from({ length: count }, (_, id) => ({ video: clip(bad.has(id) ? 255 : id), key: `k${id}` })),
    () => below(12),
  )
  const leaveAt = below(2) === 0 ? 1 + below(20) : Number.POSITIVE_INFINITY
  const taken: number[] = []
  for await (const { index, key, status } of both.embedder.embedStream(source, { concurrency, ordered })) {
    taken.push(index)
    expect([key, status], `seed ${seed}`).toEqual([`k${index}`, bad.has(index) ? 'rejected' : 'fulfilled'])
    expect(source.read - taken.length, `seed ${seed}`).toBeLessThanOrEqual(concurrency)
    await microtasks(below(12))
    if (taken.length >= leaveAt) break
    if (below(5) === 0) await turns(1 + below(9))
  }
  await turns()
  expect(taken.length, `seed ${seed}`).toBe(Math.min(count, leaveAt))
  expect(new Set(taken).size).toBe(taken.length)
  if (ordered) expect(taken).toEqual(taken.map((_, place) => place))
  nothingLeft(both)
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined
}

async function exhaust(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
