import { describe, expect, it } from 'vitest'
import type { EmbedderOptions, SegmentOptions, VideoOptions } from '../../src/index.ts'
import { InvalidRequestError, MediaError } from '../../src/index.ts'
import { vectorOf } from './double.ts'
import { clip, failureOf, nothingLeft, open, turns } from './support.ts'

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

  it('embeds a video, and reports what was read', async () => {
    const { embedder } = await open()
    const result = await embedder.embedVideo(clip(7))
    expect(result.embedding).toEqual(vectorOf(7))
    expect(result.frames.length).toBe(8)
    expect(result.media).toMatchObject({ container: 'double', width: 16, decoded: 8 })
    expect(result.timings).toMatchObject({ open: 1, decode: 2, convert: 3 })
    expect(result.warnings).toEqual([])
    expect((await embedder.embedVideo(clip(254))).warnings).toEqual([
      { code: 'media', message: 'the file is damaged' },
    ])
  })

  it('passes the range and the tolerance to the decoder', async () => {
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

  it('passes the frame rule to the decoder: the call’s, otherwise the embedder’s', async () => {
    const ruleOf = async (options: EmbedderOptions, call: VideoOptions) => {
      const { embedder, double } = await open(options)
      await embedder.embedVideo(clip(1), call)
      await embedder.embedMany([{ video: clip(1), frameRule: call.frameRule }])
      const [one, many] = double.clipOptions.map(({ frameRule }) => frameRule)
      expect(many).toEqual(one)
      return one
    }
    const timestamps = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    expect(await ruleOf({}, {})).toBeUndefined()
    expect(await ruleOf({}, { frameRule: 'rounded' })).toBe('rounded')
    expect(await ruleOf({ frameRule: 'curator' }, {})).toBe('curator')
    expect(await ruleOf({ frameRule: 'curator' }, { frameRule: 'card' })).toBeUndefined()
    expect(await ruleOf({ frameRule: 'curator' }, { frameRule: { timestamps } })).toEqual({ timestamps })
    const picture = { width: 1, height: 1, data: new Uint8Array(3) }
    const { embedder, double } = await open({ frameRule: 'curator' })
    await embedder.embedVideo({ frames: Array(8).fill(picture) })
    expect(double.clipOptions[0]?.frameRule).toBeUndefined()
    for await (const segment of embedder.segments(clip(1, 2), { windowSeconds: 1 })) {
      expect(segment.frames).toHaveLength(8)
    }
    expect(double.clipOptions.at(-1)?.frameRule).toBe('curator')
    const own = { windowSeconds: 1, frameRule: { timestamps } } as unknown as SegmentOptions
    const refused = await failureOf(embedder.segments(clip(1, 2), own).next())
    expect(refused).toMatchObject({ code: 'invalid_argument', message: /^frameRule: one list cannot be/ })
    expect(await failureOf(open({ frameRule: { timestamps } as unknown as 'card' }))).toMatchObject({
      code: 'invalid_argument',
      message: /frameRule: must be "card", "curator", "rounded"/,
    })
  })

  it('reports its frame rule, which is part of the fingerprint', async () => {
    const facts = await Promise.all(
      ([undefined, 'card', 'curator', 'rounded'] as const).map(async (frameRule) => {
        const { embedder } = await open({ frameRule })
        const { model } = embedder.info()
        return [model.frameRule, model.fingerprint] as const
      }),
    )
    expect(facts.map(([rule]) => rule)).toEqual(['card', 'card', 'curator', 'rounded'])
    expect(facts[0]?.[1]).toBe(facts[1]?.[1])
    expect(new Set(facts.map(([, fingerprint]) => fingerprint)).size).toBe(3)
  })

  it('embeds still pictures', async () => {
    const { embedder } = await open()
    const picture = { width: 1, height: 1, data: new Uint8Array(3) }
    const { embedding } = await embedder.embedVideo({ frames: Array(8).fill(picture) })
    expect(embedding).toEqual(vectorOf(0))
    expect(embedder.stats().items).toEqual({ text: 0, video: 0, frames: 1 })
  })

  it('reads a stream, and counts its memory until the clip is decoded', async () => {
    const { embedder, double } = await open()
    const bytes: number[] = []
    const result = embedder.embedVideo(
      (async function* () {
        yield Uint8Array.of(9, 0)
        yield new Uint8Array(1_000_000)
      })(),
    )
    double.decoding.held = true
    double.encoding.held = true
    while (double.decoding.jobs.length === 0) await turns(1)
    bytes.push(embedder.stats().inFlight.bytes)
    double.decoding.open()
    while (double.encoding.jobs.length === 0) await turns(1)
    bytes.push(embedder.stats().inFlight.bytes)
    double.encoding.open()
    expect((await result).embedding).toEqual(vectorOf(9))
    expect(bytes).toEqual([1_000_002, 0])
  })

  it('rejects with the error of the stage that failed', async () => {
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

  it('decodes copies of bytes that the caller could transfer meanwhile', async () => {
    const { embedder, double } = await open()
    const mine = clip(7, 1)
    const raw = { width: 1, height: 1, data: new Uint8Array(3) }
    await embedder.embedVideo(mine)
    for await (const _ of embedder.segments(mine, { windowSeconds: 1 })) break
    await embedder.embedVideo({ frames: Array(8).fill(raw) })
    await embedder.embedVideo({ frames: Array(8).fill(mine) })
    const given = double.sources.flatMap((source) => {
      if ('images' in source)
        return source.images.map((image) =>
          'data' in (image as typeof raw) ? (image as typeof raw).data : (image as Uint8Array),
        )
      return 'bytes' in source ? [source.bytes] : []
    })
    expect(given.length).toBe(18)
    for (const bytes of given) expect([mine.buffer, raw.data.buffer]).not.toContain(bytes.buffer)
    expect(given[0]).toEqual(mine)
  })

  it('refuses bytes whose buffer is transferred before their turn', async () => {
    const both = await open({ decode: { concurrency: 1 } })
    both.double.decoding.held = true
    const first = both.embedder.embedVideo(clip(1))
    const mine = clip(2)
    const second = failureOf(both.embedder.embedVideo(mine))
    await turns()
    structuredClone(mine, { transfer: [mine.buffer] })
    both.double.decoding.open()
    await first
    expect(await second).toMatchObject({ code: 'source', message: expect.stringContaining('transferred') })
    nothingLeft(both)
  })

  it('refuses an unknown priority', async () => {
    const { embedder } = await open()
    const failure = await failureOf(embedder.embedText('a', { priority: 'urgent' as 'query' }))
    expect(failure).toMatchObject({ code: 'invalid_argument', message: expect.stringContaining('urgent') })
  })
})

describe('embed', () => {
  it('returns the documented response, in the order of the inputs', async () => {
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

  it('returns base64 of little-endian floats', async () => {
    const { embedder } = await open()
    const { data } = await embedder.embed({ request_type: 'query', input: 'ab', encoding_format: 'base64' })
    const bytes = Buffer.from(data[0]?.embedding ?? '', 'base64')
    expect(bytes.length).toBe(64)
    expect(Array.from({ length: 16 }, (_, i) => bytes.readFloatLE(4 * i))).toEqual([...vectorOf(4)])
  })

  it('counts videos, and reports warnings by index', async () => {
    const { embedder } = await open()
    const { usage, warnings } = await embedder.embed({
      request_type: 'bulk_video',
      input: [{ video: clip(1) }, { video: clip(254) }],
    })
    expect(usage).toEqual({ num_videos: 2, prompt_tokens: 0, total_tokens: 0 })
    expect(warnings).toEqual([{ index: 1, code: 'media', message: 'the file is damaged' }])
    const long = await embedder.embed({ request_type: 'bulk_text', input: ['a', 'b'.repeat(80)] })
    expect(long.warnings).toEqual([
      { index: 1, code: 'text_truncated', message: expect.stringContaining('32 tokens') },
    ])
  })

  it('puts sixty-four texts of one length into one batch', async () => {
    const { embedder, double } = await open()
    await embedder.embed({
      request_type: 'bulk_text',
      input: Array.from({ length: 64 }, (_, i) => String.fromCharCode(0x61 + (i % 26)).repeat(10)),
    })
    expect(double.batches.map(({ size }) => size)).toEqual([64])
  })

  it('is all or nothing: the first failure names its item and cancels the others', async () => {
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

  it('refuses what the contract forbids, naming the item', async () => {
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
