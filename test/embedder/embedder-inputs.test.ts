/** Accepted inputs, results and errors. */
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import vm from 'node:vm'
import { describe, expect, it } from 'vitest'
import { openEmbedder } from '../../src/embedder.ts'
import { CosmosEmbedError, type Embedder, type ItemInput } from '../../src/index.ts'
import { BindingDouble, vectorOf } from './double.ts'
import { clip, failureOf, nothingLeft, onnxruntime, open, turns } from './support.ts'

describe('a string means one thing', () => {
  const strings = ['a.mp4', 'a red circle', 'data:video/mp4;base64,AAAA', 's3://bucket/a.mp4', '-', '']

  it('is refused in process, where items are objects', async () => {
    const both = await open()
    const settled = await both.embedder.embedMany(strings as unknown as ItemInput[])
    expect(settled).toHaveLength(strings.length)
    for (const [index, result] of settled.entries()) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'invalid_request', index } })
    }
    expect(both.double.batches).toEqual([])
    nothingLeft(both)
  })

  it('is a text or a data URI in a request, with a warning if it looks like media', async () => {
    const { embedder } = await open()
    const { data, warnings } = await embedder.embed({
      request_type: 'bulk_text',
      input: ['a red circle', 'clips/a.mp4', { text: 'clips/a.mp4' }, 'https://h/o?sig=1'],
    })
    expect(data).toHaveLength(4)
    expect(warnings).toEqual([
      { index: 1, code: 'text_looks_like_media', message: expect.stringContaining('media file') },
      { index: 3, code: 'text_looks_like_media', message: expect.stringContaining('a URL') },
    ])
    for (const text of [
      ' data:;base64,AAAA',
      'https://h/a.mp4',
      's3://b/a.webm',
      'data:image/png;base64,AA',
    ]) {
      for (const request_type of ['query', 'bulk_text', 'bulk_video'] as const) {
        expect(await failureOf(embedder.embed({ request_type, input: text })), text).toMatchObject({
          code: 'invalid_request',
          index: 0,
        })
      }
    }
  })
})

describe('results', () => {
  it('carry their kind and key', async () => {
    const { embedder } = await open()
    const picture = { width: 1, height: 1, data: new Uint8Array(3) }
    const key = { id: 7 }
    const settled = await embedder.embedMany<ItemInput & { key: unknown }>([
      { text: 'a', key: 'first' },
      { video: clip(1), key },
      { frames: Array(8).fill(picture), key: 3 },
      { video: clip(255), key: 4 },
    ])
    expect(settled.map((result) => result.key)).toEqual(['first', key, 3, 4])
    expect(settled[1]?.key, 'it is the very object').toBe(key)
    expect(
      settled.map((result) => (result.status === 'fulfilled' ? result.value.kind : result.reason.code)),
    ).toEqual(['text', 'video', 'frames', 'media'])
  })

  it('have a type that follows from the input', async () => {
    const { embedder } = await open()
    const [text] = await embedder.embedMany([{ text: 'a', key: 1 }])
    if (text?.status !== 'fulfilled') throw new Error('expected a vector')
    const tokens: number = text.value.tokens
    const key: number = text.key
    expect([tokens, key]).toEqual([3, 1])
  })

  it('carry warnings with a code', async () => {
    const { embedder } = await open()
    expect((await embedder.embedVideo(clip(254))).warnings).toEqual([
      { code: 'media', message: 'the file is damaged' },
    ])
    expect((await embedder.embedText('a'.repeat(99))).warnings).toEqual([
      { code: 'text_truncated', message: 'the text was cut to its first 32 tokens' },
    ])
  })
})

describe('inputs', () => {
  const realm = vm.createContext({})
  const foreign = vm.runInContext('Uint8Array.of(5, 0)', realm) as Uint8Array
  const parts = async function* () {
    yield Uint8Array.of(5)
    yield foreign.subarray(1)
  }
  it.each<[string, () => Parameters<Embedder['embedVideo']>[0]]>([
    ['bytes', () => clip(5)],
    ['a Buffer', () => Buffer.from(clip(5))],
    ['bytes of another realm', () => foreign],
    ['an ArrayBuffer', () => clip(5).buffer],
    ['an ArrayBuffer of another realm', () => foreign.buffer as ArrayBuffer],
    ['a Blob', () => new Blob([clip(5)])],
    ['a File', () => new File([clip(5)], 'a.mp4')],
    ['a Response', () => new Response(clip(5))],
    ['a web stream', () => new Blob([clip(5)]).stream()],
    ['a Node stream', () => Readable.from(parts())],
    ['a generator', parts],
  ])('%s', async (_, make) => {
    const both = await open()
    const { embedding, kind } = await both.embedder.embedVideo(make())
    expect([embedding, kind]).toEqual([vectorOf(5), 'video'])
    nothingLeft(both)
  })

  it.each<[string, unknown, string, string]>([
    ['an empty Blob', new Blob([]), 'source', 'empty'],
    ['a Blob that is too large', new Blob([new Uint8Array(101)]), 'limit', '101 bytes'],
    ['a web stream that is too large', new Blob([new Uint8Array(101)]).stream(), 'limit', '100'],
    ['a Response that is no success', new Response('no', { status: 404 }), 'source', 'status 404'],
    ['a number', 7, 'invalid_request', 'input.video: must be a file path, a URL, bytes'],
    ['nothing', undefined, 'invalid_request', 'input'],
  ])('refuses %s', async (_, video, code, message) => {
    const both = await open({ limits: { maxMediaBytes: 100 } })
    const failure = await failureOf(both.embedder.embedVideo(video as Uint8Array))
    expect(failure).toMatchObject({ code, message: expect.stringContaining(message) })
    nothingLeft(both)
  })

  it('one picture is embedded as a still video, and is read once', async () => {
    const both = await open({ limits: { maxMediaBytes: 100 } })
    const { kind, embedding } = await both.embedder.embedImage(new Blob([new Uint8Array(100)]))
    expect([kind, embedding]).toEqual(['frames', vectorOf(0)])
    nothingLeft(both)
  })
})

describe('options of a call', () => {
  const calls: [string, (embedder: Embedder, options: object) => Promise<unknown>][] = [
    ['embed', (e, options) => e.embed({ request_type: 'query', input: 'a' }, options)],
    ['embedText', (e, options) => e.embedText('a', options)],
    ['embedVideo', (e, options) => e.embedVideo(clip(1), options)],
    ['embedImage', (e, options) => e.embedImage(clip(1), options)],
    ['embedMany', (e, options) => e.embedMany([{ text: 'a' }], options)],
    ['embedStream', (e, options) => e.embedStream([{ text: 'a' }], options).next()],
    ['frames', (e, options) => e.frames(clip(1), options)],
    ['classify', (e, options) => e.classify(clip(1), ['a'], options)],
    ['segments', (e, options) => e.segments(clip(1, 1), { windowSeconds: 1, ...options }).next()],
    ['dispose', (e, options) => e.dispose(options)],
  ]
  it.each(calls)('%s refuses unknown options', async (name, call) => {
    const both = await open()
    const wrong: [object, string][] = [
      [{ signals: undefined, nonsense: 1 }, 'unknown field'],
      [{ nonsense: 1 }, 'nonsense'],
      ...(name === 'dispose'
        ? ([[{ drain: 'yes' }, 'options.drain']] as [object, string][])
        : ([
            [{ signal: 'none' }, 'options.signal: must be an AbortSignal'],
            [{ signal: new AbortController() }, 'options.signal'],
            [{ whenFull: 'maybe' }, 'options.whenFull'],
          ] as [object, string][])),
    ]
    for (const [options, message] of wrong) {
      expect(await failureOf(call(both.embedder, options))).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining(message),
      })
    }
    nothingLeft(both)
    await both.embedder.dispose({ drain: true })
  })

  it('a range is refused for pictures', async () => {
    const both = await open()
    const frames = Array(8).fill({ width: 1, height: 1, data: new Uint8Array(3) })
    for (const range of [{ start: 0 }, { end: 1 }, { frameTolerance: 0.1 }]) {
      expect(await failureOf(both.embedder.embedVideo({ frames }, range))).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining(Object.keys(range)[0] as string),
      })
    }
    nothingLeft(both)
  })
})

describe('errors', () => {
  it('of every kind become errors of this package', async () => {
    const both = await open()
    both.double.decodeClip = () => {
      throw new RangeError('a bug')
    }
    const picture = { width: 1, height: 1, data: new Uint8Array(3) }
    for (const failing of [
      both.embedder.embedVideo(clip(1)),
      both.embedder.frames(clip(1)),
      both.embedder.classify(clip(1), ['a']),
      both.embedder.embedImage(picture),
      both.embedder.embed({ request_type: 'bulk_video', input: [{ video: clip(1) }] }),
    ]) {
      const failure = await failureOf(failing)
      expect(failure).toBeInstanceOf(CosmosEmbedError)
      expect(failure).toMatchObject({ code: 'internal', cause: expect.any(RangeError) })
    }
    const [settled] = await both.embedder.embedMany([{ video: clip(1) }])
    expect(settled).toMatchObject({ reason: { code: 'internal', index: 0 } })
    nothingLeft(both)
    const broken = new BindingDouble()
    broken.diagnostics = () => {
      throw new TypeError('a bug')
    }
    const failure = await failureOf(openEmbedder({ onnxruntime }, broken))
    expect(failure).toMatchObject({ code: 'internal', cause: expect.any(TypeError) })
  })

  it('of the caller’s onProgress reject the call', async () => {
    const both = await open()
    const oops = new Error('listener')
    const onProgress = () => {
      throw oops
    }
    const items = [{ text: 'a' }, { video: clip(1) }]
    expect(await failureOf(both.embedder.embedMany(items, { onProgress }))).toBe(oops)
    await turns()
    nothingLeft(both)
    expect(both.embedder.stats().errors).toEqual({})
  })
})

describe('streams that wait', () => {
  const missing = () => createReadStream('/no/such/file')

  it('may fail before their turn', async () => {
    const both = await open({ limits: { maxDownloads: 1 } })
    both.double.decoding.held = true
    const busy = both.embedder.embedVideo(Readable.from([clip(1)]))
    await turns()
    const failing = [
      failureOf(both.embedder.embedVideo(missing())),
      failureOf(both.embedder.embed({ request_type: 'query', input: { video: missing() } })),
      both.embedder.embedMany([{ video: missing() }]),
      failureOf(both.embedder.segments(missing(), { windowSeconds: 1 }).next()),
      failureOf(both.embedder.frames(missing())),
    ]
    // The stream has failed by now, but nothing reads it yet.
    await new Promise((resolve) => setTimeout(resolve, 50))
    both.double.decoding.open()
    await busy
    for (const failure of await Promise.all(failing)) {
      const reason = Array.isArray(failure) ? failure[0]?.reason : failure
      expect(reason).toMatchObject({ code: 'source' })
    }
    nothingLeft(both)
  })

  it('are closed when they are refused for any reason', async () => {
    const both = await open({ limits: { maxBytesInFlight: 100 } })
    both.double.decoding.held = true
    const busy = both.embedder.embedVideo(new Uint8Array(100))
    await turns()
    const streams: Readable[] = []
    const stream = () => {
      const made = Readable.from([clip(1)])
      streams.push(made)
      return made
    }
    let cancelled = 0
    const web = new ReadableStream({ cancel: () => void cancelled++ })
    const aborted = AbortSignal.abort('early')
    await Promise.allSettled([
      both.embedder.embedVideo(stream(), { start: -1 }),
      both.embedder.embedVideo(stream(), { signal: aborted }),
      both.embedder.embedVideo(web, { signal: aborted }),
      both.embedder.embedVideo(stream(), { nonsense: 1 } as object),
      both.embedder.embed({ request_type: 'bulk_text', input: { video: stream() } }),
      both.embedder.embedMany([{ video: stream(), start: -1 }]),
      both.embedder.segments(stream(), { windowSeconds: -1 }).next(),
    ])
    both.double.decoding.open()
    await busy
    await both.embedder.dispose()
    await failureOf(both.embedder.embedVideo(stream()))
    expect(streams.map(({ destroyed }) => destroyed)).toEqual(streams.map(() => true))
    expect(cancelled).toBe(1)
  })
})

describe('when the limits are reached', () => {
  it('calls wait by default', async () => {
    const both = await open({ limits: { maxItemsInFlight: 64 } })
    let most = 0
    both.embedder.observe(() => {
      most = Math.max(most, both.embedder.stats().inFlight.items)
    })
    await Promise.all(Array.from({ length: 700 }, (_, i) => both.embedder.embedVideo(clip(i % 200))))
    expect(most).toBeLessThanOrEqual(64)
    expect(both.embedder.stats().requests).toMatchObject({ succeeded: 700, rejected: 0 })
    nothingLeft(both)
  })

  it("a call with whenFull: 'refuse' costs nothing", async () => {
    const both = await open({ limits: { maxBytesInFlight: 4 << 20 } })
    both.double.decoding.held = true
    const busy = both.embedder.embedVideo(new Uint8Array(3 << 20))
    await turns()
    const input = `data:video/mp4;base64,${Buffer.alloc(3 << 19).toString('base64')}`
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 50; i++) {
      const refused = both.embedder.embed({ request_type: 'query', input }, { whenFull: 'refuse' })
      expect(await failureOf(refused)).toMatchObject({ code: 'overloaded' })
    }
    // Without the refusal it would be fifty times 1.5 MiB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(15 << 20)
    both.double.decoding.open()
    await busy
    nothingLeft(both)
  })
})
