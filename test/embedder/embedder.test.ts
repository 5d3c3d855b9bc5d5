import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { openEmbedder } from '../../src/embedder.ts'
import { type Embedder, type EmbedderOptions, InvalidRequestError, MediaError } from '../../src/index.ts'
import { tinyBundle } from './bundle.ts'
import { BindingDouble, vectorOf } from './double.ts'

const model = tinyBundle()
// Only its existence is checked before the addon opens it, and here no addon does.
const onnxruntime = { library: new URL(import.meta.url).pathname }
const doubles: BindingDouble[] = []

async function open(options: EmbedderOptions = {}): Promise<{ embedder: Embedder; double: BindingDouble }> {
  const double = new BindingDouble()
  doubles.push(double)
  const embedder = await openEmbedder({ model, onnxruntime, ...options }, double)
  return { embedder, double }
}

const clip = (id: number, windows = 0) => new Uint8Array([id, windows])
const turns = async (count = 5) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

function nothingLeft({ embedder, double }: { embedder: Embedder; double: BindingDouble }) {
  expect({
    clips: double.clipsAlive,
    readers: double.readersOpen,
    jobs: double.runningJobs,
    ...embedder.stats().inFlight,
    ...Object.fromEntries(
      Object.entries(embedder.stats().queues).map(([name, { waiting, running }]) => [
        name,
        waiting + running,
      ]),
    ),
  }).toEqual({
    clips: 0,
    readers: 0,
    jobs: 0,
    items: 0,
    bytes: 0,
    requests: 0,
    download: 0,
    decode: 0,
    encode: 0,
  })
}

/** What a promise has rejected with; fails when it has not. */
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('should have failed'),
    (failure) => failure,
  )

afterEach(() => {
  for (const double of doubles.splice(0)) {
    expect([double.clipsAlive, double.readersOpen], 'every clip and reader was freed').toEqual([0, 0])
  }
})

describe('single items', () => {
  it('embeds a text', async () => {
    const { embedder } = await open()
    const { embedding, tokens, truncated, timings } = await embedder.embedText('abc')
    expect(embedding).toEqual(vectorOf(5))
    expect([tokens, truncated]).toEqual([5, false])
    expect(timings.total).toBeGreaterThanOrEqual(timings.encode)
    expect(timings).toMatchObject({ download: 0, open: 0, decode: 0, convert: 0 })
    expect(await embedder.embedText('a'.repeat(99))).toMatchObject({ tokens: 32, truncated: true })
  })

  it('embeds a video, and says what was read', async () => {
    const { embedder } = await open()
    const result = await embedder.embedVideo(clip(7))
    expect(result.embedding).toEqual(vectorOf(7))
    expect(result.frames.length).toBe(8)
    expect(result.media).toMatchObject({ container: 'double', width: 16, decoded: 8 })
    expect(result.timings).toMatchObject({ open: 1, decode: 2, convert: 3 })
    expect(result.warnings).toEqual([])
    expect((await embedder.embedVideo(clip(254))).warnings).toEqual(['the file is damaged'])
  })

  it('hands the range and the tolerance to the decoder', async () => {
    const { embedder, double } = await open()
    await embedder.embedVideo(clip(1), { start: 1, end: 2.5, frameTolerance: 0.25 })
    await embedder.embedVideo(clip(1))
    expect(double.clipOptions[0]).toMatchObject({
      start: 1,
      end: 2.5,
      frameTolerance: 0.25,
      frames: 8,
      width: 16,
    })
    expect(Object.keys(double.clipOptions[1] ?? {})).not.toContain('start')
    expect(await failureOf(embedder.embedVideo(clip(1), { start: 2, end: 1 }))).toBeInstanceOf(
      InvalidRequestError,
    )
  })

  it('embeds still pictures', async () => {
    const { embedder } = await open()
    const picture = { width: 1, height: 1, data: new Uint8Array(3) }
    const { embedding } = await embedder.embedVideo({ frames: Array(8).fill(picture) })
    expect(embedding).toEqual(vectorOf(0))
    expect(embedder.stats().items).toEqual({ text: 0, video: 0, frames: 1 })
  })

  it('reads a stream, and counts its bytes while it is worked on', async () => {
    const { embedder, double } = await open()
    double.encoding.held = true
    const bytes: number[] = []
    const result = embedder.embedVideo(
      (async function* () {
        yield Uint8Array.of(9, 0)
        yield new Uint8Array(98)
      })(),
    )
    while (double.encoding.jobs.length === 0) await turns(1)
    bytes.push(embedder.stats().inFlight.bytes)
    double.encoding.open()
    expect((await result).embedding).toEqual(vectorOf(9))
    expect([...bytes, embedder.stats().inFlight.bytes]).toEqual([100, 0])
  })

  it('rejects with the error of the part that failed', async () => {
    const both = await open()
    const failure = await failureOf(both.embedder.embedVideo(clip(255)))
    expect(failure).toBeInstanceOf(MediaError)
    expect(failure).toMatchObject({ message: 'no video stream', index: undefined })
    both.double.encoding.held = true
    const encoding = failureOf(both.embedder.embedText('a'))
    while (both.double.encoding.jobs.length === 0) await turns(1)
    both.double.encoding.jobs[0]?.fail({ code: 'engine', message: 'not a number' })
    expect(await encoding).toMatchObject({ code: 'engine', message: 'not a number', retryable: true })
    expect(both.embedder.stats()).toMatchObject({
      errors: { media: 1, engine: 1 },
      requests: { total: 2, failed: 2, succeeded: 0, cancelled: 0, rejected: 0 },
    })
    nothingLeft(both)
  })

  it('refuses a priority that does not exist', async () => {
    const { embedder } = await open()
    const failure = await failureOf(embedder.embedText('a', { priority: 'urgent' as 'query' }))
    expect(failure).toMatchObject({ code: 'invalid_argument', message: expect.stringContaining('urgent') })
  })
})

describe('embed', () => {
  it('answers as documented, in the order of the inputs', async () => {
    const { embedder } = await open({ servedNames: ['alias'] })
    const response = await embedder.embed({
      request_type: 'bulk_text',
      input: ['a', 'bb', 'ccc'],
      model: 'alias',
    })
    expect(response).toMatchObject({
      object: 'list',
      model: 'test/tiny',
      usage: { num_videos: 0, prompt_tokens: 12, total_tokens: 12 },
      warnings: [],
    })
    expect(response.data).toEqual(
      [3, 4, 5].map((id, index) => ({ object: 'embedding', index, embedding: vectorOf(id) })),
    )
  })

  it('answers with base64 of little-endian floats', async () => {
    const { embedder } = await open()
    const { data } = await embedder.embed({ request_type: 'query', input: 'ab', encoding_format: 'base64' })
    const bytes = Buffer.from(data[0]?.embedding ?? '', 'base64')
    expect(bytes.length).toBe(64)
    expect(Array.from({ length: 16 }, (_, i) => bytes.readFloatLE(4 * i))).toEqual([...vectorOf(4)])
  })

  it('counts videos, and tells of warnings by index', async () => {
    const { embedder } = await open()
    const { usage, warnings } = await embedder.embed({
      request_type: 'bulk_video',
      input: [{ video: clip(1) }, { video: clip(254) }],
    })
    expect(usage).toEqual({ num_videos: 2, prompt_tokens: 0, total_tokens: 0 })
    expect(warnings).toEqual([{ index: 1, message: 'the file is damaged' }])
    const long = await embedder.embed({ request_type: 'bulk_text', input: ['a', 'b'.repeat(80)] })
    expect(long.warnings).toEqual([{ index: 1, message: expect.stringContaining('32 tokens') }])
  })

  it('puts sixty-four texts into one batch', async () => {
    const { embedder, double } = await open()
    await embedder.embed({
      request_type: 'bulk_text',
      input: Array.from({ length: 64 }, (_, i) => 'x'.repeat(1 + (i % 20))),
    })
    expect(double.batches.map(({ size }) => size)).toEqual([64])
  })

  it('is all or nothing: the first failure names its item and stops the others', async () => {
    const both = await open({ decode: { concurrency: 2 } })
    const input = Array.from({ length: 64 }, (_, i) => ({ video: clip(i === 5 ? 255 : i) }))
    const failure = await failureOf(both.embedder.embed({ request_type: 'bulk_video', input }))
    expect(failure).toBeInstanceOf(MediaError)
    expect(failure).toMatchObject({ index: 5 })
    expect(both.double.decoded.length, 'the rest was not decoded').toBeLessThan(64)
    nothingLeft(both)
    expect(both.embedder.stats()).toMatchObject({
      errors: { media: 1 },
      requests: { failed: 1, cancelled: 0 },
    })
  })

  it('refuses what the contract refuses, naming the item', async () => {
    const { embedder } = await open()
    expect(
      await failureOf(embedder.embed({ request_type: 'bulk_text', input: ['a', { video: clip(1) }] })),
    ).toMatchObject({ code: 'invalid_request', index: 1 })
    expect(
      await failureOf(embedder.embed({ request_type: 'query', input: 'a', model: 'other' })),
    ).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('test/tiny'),
    })
    expect(
      await failureOf(embedder.embed({ request_type: 'bulk_text', input: Array(65).fill('a') })),
    ).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('64') })
  })

  it('reports progress per stage', async () => {
    const { embedder } = await open()
    const seen: string[] = []
    await embedder.embed(
      { request_type: 'bulk_video', input: [0, 1, 2].map((id) => ({ video: clip(id) })) },
      { onProgress: ({ stage, done, total, index }) => seen.push(`${stage} ${done}/${total} #${index}`) },
    )
    expect(seen.toSorted()).toEqual(
      ['decode', 'encode'].flatMap((stage) => [0, 1, 2].map((i) => `${stage} ${i + 1}/3 #${i}`)),
    )
  })

  it('fails, and leaks nothing, when the progress listener throws', async () => {
    const both = await open()
    const oops = new Error('listener')
    const failure = await failureOf(
      both.embedder.embed(
        { request_type: 'bulk_video', input: [0, 1].map((id) => ({ video: clip(id) })) },
        {
          onProgress: () => {
            throw oops
          },
        },
      ),
    )
    expect(failure).toBe(oops)
    nothingLeft(both)
  })
})

describe('embedMany', () => {
  it('settles each item by itself, in order', async () => {
    const { embedder } = await open()
    const settled = await embedder.embedMany([
      'a',
      { video: clip(3) },
      { video: clip(255) },
      '  ',
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

  it('waits for room instead of failing, and keeps to the limits', async () => {
    const both = await open({ admission: { maxItems: 64 } })
    both.double.encoding.held = true
    const many = both.embedder.embedMany(Array.from({ length: 300 }, (_, i) => ({ video: clip(i % 200) })))
    await turns(50)
    expect(both.embedder.stats().inFlight.items).toBeLessThanOrEqual(64)
    expect(await failureOf(both.embedder.embedText('a'))).toMatchObject({ code: 'overloaded' })
    both.double.encoding.open()
    const settled = await many
    expect(settled.every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(settled.length).toBe(300)
    nothingLeft(both)
  })

  it('reads an async iterable no faster than it works', async () => {
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
    const source: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => {
        let count = 0
        return {
          next: () => (count++ < 3 ? Promise.resolve({ value: 'a', done: false }) : new Promise(() => {})),
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

  it('rejects when the iterable throws, and stops what it had begun', async () => {
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

  it('refuses what is no list', async () => {
    const { embedder } = await open()
    expect(await failureOf(embedder.embedMany('abc'))).toMatchObject({ code: 'invalid_argument' })
    expect(await embedder.embedMany([])).toEqual([])
  })
})

describe('segments', () => {
  it('gives one vector per window, in order, in one pass', async () => {
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

  it('decodes the next window while the former is encoded', async () => {
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

  it('ends with the reason of the signal, also while its consumer rests', async () => {
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

  it('is closed by dispose while its consumer rests', async () => {
    const both = await open()
    const segments = both.embedder.segments(clip(1, 100), { windowSeconds: 1 })
    await segments.next()
    await both.embedder.dispose()
    expect(both.double.enginesOpen).toBe(0)
    nothingLeft(both)
    expect(await failureOf(segments.next())).toMatchObject({ code: 'closed' })
  })

  it('refuses windows of no length', async () => {
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

  it('ends at once for a video without windows', async () => {
    const both = await open()
    expect(await both.embedder.segments(clip(1, 0), { windowSeconds: 1 }).next()).toMatchObject({
      done: true,
    })
    nothingLeft(both)
  })
})

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

  it('of one item leaves the others of its batch alone', async () => {
    const both = await open()
    both.double.encoding.held = true
    const controller = new AbortController()
    const doomed = failureOf(both.embedder.embedText('a', { signal: controller.signal }))
    const other = both.embedder.embedText('bb')
    while (both.double.encoding.jobs.length === 0) await turns(1)
    expect(both.double.batches).toEqual([{ kind: 'text', size: 2, ids: [3, 4] }])
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
    const both = await open({ admission: { maxItems: 5000 } })
    both.double.encoding.held = true
    const controller = new AbortController()
    const { signal } = controller
    const all = Array.from({ length: 1000 }, () => failureOf(both.embedder.embedText('a', { signal })))
    const many = failureOf(both.embedder.embedMany(Array(1000).fill('b'), { signal }))
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
    const { embedder, double } = await open({ decode: { concurrency: 1 }, batching: { maxBatch: 1 } })
    double.decoding.held = true
    const bulk = embedder.embedMany([1, 2, 3].map((id) => ({ video: clip(id) })))
    await turns()
    const query = embedder.embedVideo(clip(9))
    await turns()
    double.decoding.open()
    await Promise.all([bulk, query])
    expect(double.decoded.indexOf(9)).toBe(1)
  })

  it('gives a lone clip all threads, and one each to several', async () => {
    const { embedder, double } = await open({ decode: { concurrency: 4, threads: 6 } })
    await embedder.embedVideo(clip(1))
    double.decoding.held = true
    const several = [1, 2, 3].map((id) => embedder.embedVideo(clip(id)))
    await turns()
    double.decoding.open()
    await Promise.all(several)
    expect(double.clipOptions.map(({ threads }) => threads)).toEqual([6, 1, 1, 1])
  })

  it('does not decode ahead of the engine without bound', async () => {
    const both = await open({ decode: { concurrency: 3 }, batching: { maxBatch: 2 } })
    both.double.encoding.held = true
    const all = Array.from({ length: 100 }, (_, i) => both.embedder.embedVideo(clip(i)))
    await turns(200)
    expect(both.double.clipsAlive).toBe(3 + 2 * 2)
    both.double.encoding.open()
    await Promise.all(all)
    expect(both.double.mostClipsAlive).toBe(3 + 2 * 2)
    expect(Math.max(...both.double.batches.map(({ size }) => size))).toBe(2)
    nothingLeft(both)
  })

  it('does not read streams ahead of the decoders without bound', async () => {
    const both = await open({ decode: { concurrency: 1 }, limits: { maxDownloads: 3 } })
    both.double.decoding.held = true
    let opened = 0
    const stream = async function* () {
      opened++
      yield clip(1)
    }
    const all = Array.from({ length: 20 }, () => both.embedder.embedVideo(stream()))
    await turns(50)
    expect(opened).toBe(3)
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
  it('refuses a request whole, and says when to come back', async () => {
    const both = await open({ admission: { maxItems: 64 } })
    both.double.encoding.held = true
    const texts = (count: number) =>
      both.embedder.embed({ request_type: 'bulk_text', input: Array(count).fill('a') })
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
    expect(await failureOf(both.embedder.embedText('a'))).toMatchObject({ code: 'overloaded' })
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

  it('counts bytes, and says of too many that waiting will not help', async () => {
    const both = await open({ admission: { maxBytes: 100 } })
    both.double.encoding.held = true
    const held = both.embedder.embedVideo(new Uint8Array(60))
    await turns()
    expect(await failureOf(both.embedder.embedVideo(new Uint8Array(41)))).toMatchObject({
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
        message: expect.stringContaining('maxBytes 100'),
      })
    }
    both.double.encoding.open()
    await held
    nothingLeft(both)
  })
})

describe('dispose', () => {
  it('cancels what runs, frees the engine, and refuses what comes', async () => {
    const both = await open()
    both.double.encoding.held = true
    both.double.decoding.held = true
    const running = [
      failureOf(both.embedder.embedText('a')),
      failureOf(both.embedder.embedVideo(clip(1))),
      failureOf(both.embedder.embedMany(['a', { video: clip(2) }])),
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

  it('with drain lets what runs end first', async () => {
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

  it('without drain overrides an earlier one with it; any number of calls is one end', async () => {
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

describe('creation', () => {
  it('says which option is wrong', async () => {
    const wrong: [object, string][] = [
      [{ modle: 'x' }, 'modle'],
      [{ device: 'tpu' }, 'options.device'],
      [{ decode: { concurrency: 0 } }, 'options.decode.concurrency'],
      [{ batching: { maxBatch: 1.5 } }, 'options.batching.maxBatch'],
      [{ admission: { maxItems: 63 } }, 'options.admission.maxItems'],
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

  it('never falls back silently from cuda, and says why it took the cpu', async () => {
    const failure = await failureOf(open({ device: 'cuda' }))
    expect(failure).toMatchObject({ code: 'library', message: expect.stringMatching(/cuda.*found none/is) })
    const auto = await open()
    expect(auto.embedder.info().device).toEqual({ kind: 'cpu', reason: expect.stringContaining('auto') })
    const cpu = await open({ device: 'cpu' })
    expect(cpu.embedder.info().device.reason).not.toContain('auto')
  })

  it('describes what it made', async () => {
    const { embedder } = await open({ servedNames: ['alias', 'test/tiny'], batching: { maxBatch: 5 } })
    expect(embedder.info()).toMatchObject({
      model: {
        id: 'test/tiny',
        servedNames: ['test/tiny', 'alias'],
        frames: 8,
        height: 16,
        width: 16,
        embeddingDim: 16,
      },
      engine: { backend: 'onnxruntime' },
      limits: { items: 512, maxVideoBatch: 5, maxTextBatch: 64, input: { maxItems: 64 } },
      urls: 'public',
    })
    expect(embedder.info().model.fingerprint).toMatch(/^[0-9a-f]{32}$/)
    embedder.info().model.servedNames.push('changed')
    expect(embedder.info().model.servedNames).not.toContain('changed')
  })

  it('can be given up, at any time, and keeps nothing', async () => {
    expect(await failureOf(open({ signal: AbortSignal.abort('early') }))).toBe('early')
    const double = new BindingDouble()
    double.creating.held = true
    const controller = new AbortController()
    const creating = failureOf(openEmbedder({ model, onnxruntime, signal: controller.signal }, double))
    while (double.creating.jobs.length === 0) await turns(1)
    controller.abort('late')
    // The engine may be there before the cancellation is.
    double.creating.open()
    expect(await creating).toBe('late')
    expect([double.enginesOpen, double.runningJobs]).toEqual([0, 0])
  })

  it('has no use for its signal afterwards', async () => {
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

  it('tell a listener of every item, until it is taken back', async () => {
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
