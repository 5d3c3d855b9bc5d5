/** Live streams on a double of the addon: what is dropped, bounded, refused and closed. */
import { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { DroppedWindow, LiveOptions, LiveSegment } from '../../src/index.ts'
import { tablesFor } from '../../src/live/mpegts-sections.ts'
import { random } from './random.ts'
import { failureOf, nothingLeft, open, turns } from './support.ts'

const VIDEO = 0x100
const PICTURES_PER_SECOND = 10

/** One picture of a transport stream in `packets` packets. */
function picture(seconds: number, key: boolean, packets = 2): Uint8Array {
  const bytes = new Uint8Array(188 * packets).fill(0xee)
  const time = Math.round(seconds * 90_000) % 2 ** 33
  const [high, middle, low] = [Math.floor(time / 2 ** 30), (time >> 15) & 0x7fff, time & 0x7fff]
  const pts = [0x21 | (high << 1), middle >> 7, ((middle << 1) & 0xff) | 1, low >> 7, ((low << 1) & 0xff) | 1]
  for (let at = 0; at < packets; at++) {
    bytes.set([0x47, (at === 0 ? 0x40 : 0) | (VIDEO >> 8), VIDEO & 255, 0x10], 188 * at)
  }
  bytes.set([0x47, 0x40 | (VIDEO >> 8), VIDEO & 255, 0x30, 1, key ? 0x40 : 0], 0)
  bytes.set([0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, ...pts], 6)
  return bytes
}

const tables = tablesFor({ type: 0x1b, pid: VIDEO, descriptors: new Uint8Array(0) })

/** A stream of one keyframe a second, from `from` to `to` seconds. */
function recording(from: number, to: number, packets?: number): Uint8Array {
  const parts = [tables]
  for (let i = from * PICTURES_PER_SECOND; i < to * PICTURES_PER_SECOND; i++) {
    parts.push(picture(i / PICTURES_PER_SECOND, i % PICTURES_PER_SECOND === 0, packets))
  }
  return Buffer.concat(parts)
}

/** A stream that a test feeds by hand. */
function feed() {
  const stream = new Readable({ read() {}, highWaterMark: 1 })
  return Object.assign(stream, { add: (bytes: Uint8Array) => void stream.push(bytes) })
}

async function collect(items: AsyncIterable<LiveSegment>): Promise<LiveSegment[]> {
  const all: LiveSegment[] = []
  for await (const item of items) all.push(item)
  return all
}

async function setUp(options: Partial<LiveOptions> = {}) {
  const opened = await open()
  onTestFinished(async () => {
    opened.double.decoding.open()
    opened.double.encoding.open()
    await opened.embedder.dispose()
  })
  const dropped: DroppedWindow[] = []
  const onDrop = (window: DroppedWindow) => void dropped.push(window)
  const live = (source: Parameters<typeof opened.embedder.live>[0], more: Partial<LiveOptions> = {}) =>
    opened.embedder.live(source, { windowSeconds: 1, onDrop, ...options, ...more })
  return { ...opened, live, dropped }
}

describe('a live stream', () => {
  it('yields a window as soon as the stream is past its end', async () => {
    const { live, double } = await setUp()
    const stream = feed()
    const windows = live(stream)
    const first = windows.next()
    stream.add(recording(0, 1))
    await turns(20)
    expect(double.decoded).toHaveLength(0)
    stream.add(recording(1, 1.3))
    expect((await first).value).toMatchObject({ start: 0, end: 1, dropped: 0, discontinuity: false })
    stream.push(null)
    expect(await windows.next()).toEqual({ done: true, value: undefined })
  })

  it('gives up the oldest windows when the embedder is slower', async () => {
    const { live, double, dropped, embedder } = await setUp({ maxWaiting: 2 })
    double.decoding.held = true
    const stream = feed()
    const windows = live(stream)
    const first = windows.next()
    for (let second = 0; second < 12; second++) stream.add(recording(second, second + 1))
    await expect.poll(() => dropped.length).toBe(7)
    expect(dropped.map(({ start, reason }) => [start, reason])).toEqual(
      [2, 3, 4, 5, 6, 7, 8].map((start) => [start, 'late']),
    )
    double.decoding.open()
    stream.push(null)
    const rest = [(await first).value, ...(await collect(windows))]
    expect(rest.map(({ start }) => start)).toEqual([0, 1, 9, 10, 11])
    expect(rest.reduce((sum, { dropped: lost }) => sum + lost, 0)).toBe(7)
    nothingLeft({ embedder, double })
  })

  it('drops while the loop is busy, too, and makes the stream wait with drop: none', async () => {
    const { live, dropped } = await setUp({ maxWaiting: 1 })
    let read = 0
    async function* source() {
      for (; read < 20; read++) yield recording(read, read + 1)
    }
    const lazy = live(source(), { drop: 'none' })
    await lazy.next()
    await turns(50)
    expect(read).toBeLessThan(8)
    expect((await collect(lazy)).map(({ start }) => start)).toEqual(
      Array.from({ length: 19 }, (_, i) => i + 1),
    )
    expect(dropped).toEqual([])
    read = 0
    const eager = live(source())
    await eager.next()
    await expect.poll(() => read).toBe(20)
    expect(dropped.length).toBeGreaterThan(10)
    await eager.return?.()
  })

  it('decodes what the stream held when it yielded it, though it reuses its buffer', async () => {
    const whole = recording(0, 4)
    async function* reusing(size: number) {
      const buffer = Buffer.alloc(size)
      for (let at = 0; at < whole.length; at += size) {
        yield buffer.subarray(0, Buffer.from(whole).copy(buffer, 0, at))
        await turns(1)
      }
    }
    const sent = async (source: AsyncIterable<Uint8Array>) => {
      const { embedder, double } = await open()
      const decodeClip = vi.spyOn(double, 'decodeClip')
      await embedder.live(source, { windowSeconds: 1 }).next()
      await embedder.dispose()
      return decodeClip.mock.calls.map(([media]) =>
        Buffer.from((media as { bytes: Uint8Array }).bytes).toString('hex'),
      )
    }
    const [expected] = await sent(Readable.from([whole]))
    expect(expected).toMatch(/^47/)
    for (const size of [100, 188, 1000, 4096]) expect((await sent(reusing(size)))[0]).toBe(expected)
  })

  it('holds no more than maxBytes', async () => {
    const { live, embedder, double } = await setUp({ maxBytes: 65_536 })
    const large = recording(0, 3, 60)
    await expect(collect(live(Readable.from([large])))).rejects.toMatchObject({
      code: 'limit',
      message: expect.stringMatching(/a window of 1 seconds takes more .* maxBytes 65536/),
    })
    // Gaps between windows, and groups before them, are not held.
    const long = Readable.from([recording(0, 60, 10)])
    const windows = await collect(live(long, { strideSeconds: 20, drop: 'none' }))
    expect(windows.map(({ start }) => start)).toEqual([0, 20, 40])
    const noKeyframe = Buffer.concat([
      tables,
      ...Array.from({ length: 400 }, (_, i) => picture(i / 10, i < 0)),
    ])
    await expect(collect(live(Readable.from([noKeyframe])))).rejects.toMatchObject({
      code: 'media',
      message: expect.stringContaining('no keyframe within 65536 bytes'),
    })
    nothingLeft({ embedder, double })
  })

  it('passes over windows that cannot be decoded, but not for ever', async () => {
    const { live, double, dropped } = await setUp({ drop: 'none' })
    double.decoding.held = true
    const fail = () => double.decoding.jobs[0]?.fail({ code: 'media', message: 'damaged' })
    const windows = live(Readable.from([recording(0, 12)]))
    const next = async (outcomes: string) => {
      const result = windows.next()
      result.catch(() => {})
      for (const outcome of outcomes) {
        await expect.poll(() => double.decoding.jobs.length).toBeGreaterThan(0)
        if (outcome === 'x') fail()
        else double.decoding.jobs[0]?.finish()
        await turns()
      }
      return result
    }
    expect((await next('o')).value).toMatchObject({ start: 0 })
    expect((await next('xxo')).value).toMatchObject({ start: 3, dropped: 2 })
    expect(dropped).toMatchObject([{ start: 1, end: 2, reason: { code: 'media' } }, { start: 2 }])
    expect(await failureOf(next('xxx'))).toMatchObject({ code: 'media', message: 'damaged' })
  })

  it('ends with its source, its signal, its loop or its embedder, and closes all', async () => {
    const { live, embedder, double } = await setUp()
    const failing = Readable.from(
      (async function* () {
        yield recording(0, 2.5)
        throw new Error('unplugged')
      })(),
    )
    const windows = live(failing)
    expect((await windows.next()).value).toMatchObject({ start: 0 })
    expect((await windows.next()).value).toMatchObject({ start: 1 })
    expect(await failureOf(windows.next())).toMatchObject({ code: 'source', cause: { message: 'unplugged' } })

    const [controller, reason] = [new AbortController(), new Error('enough')]
    const silent = feed()
    const aborted = failureOf(live(silent, { signal: controller.signal }).next())
    await turns()
    controller.abort(reason)
    expect(await aborted).toBe(reason)
    expect(silent.destroyed).toBe(true)

    const surprise = new Error('in onDrop')
    const onDrop = () => {
      throw surprise
    }
    const loud = live(Readable.from([recording(0, 9)]), { onDrop, maxWaiting: 1 })
    expect(await failureOf(collect(loud))).toBe(surprise)

    const left = feed()
    left.add(recording(0, 3))
    for await (const { start } of live(left)) if (start === 0) break
    expect(left.destroyed).toBe(true)

    const stalled = failureOf(live(feed(), { stallSeconds: 0.05 }).next())
    expect(await stalled).toMatchObject({ code: 'source', message: expect.stringContaining('stallSeconds') })
    nothingLeft({ embedder, double })

    const resting = live(feed())
    const closed = failureOf(resting.next())
    await turns()
    await embedder.dispose()
    expect(await closed).toMatchObject({ code: 'closed' })
  })

  it.each([
    [
      'a playlist',
      Buffer.from('#EXTM3U\n#EXT-X-VERSION:3\n'),
      /is a playlist: live takes MPEG-TS and fragmented MP4/,
    ],
    [
      'Matroska',
      Buffer.from('1a45dfa3a34286810142f7810142f2810442f381', 'hex'),
      /is Matroska or WebM: live takes/,
    ],
    ['noise', Buffer.alloc(4000, 'noise'), /is of a kind that is not known .*: live takes MPEG-TS/],
    [
      'a fragment without its init segment',
      Buffer.from('\0\0\0\x10moof\0\0\0\x08mfhd'),
      /without its init segment/,
    ],
    [
      'an MP4 with its tables at the end',
      Buffer.from('\0\0\0\x08ftyp\0\0\0\x0cmdatabcd'),
      /pictures come before its tables/,
    ],
  ])('refuses %s and says what it takes', async (_, bytes, message) => {
    const { live } = await setUp()
    expect(await failureOf(collect(live(Readable.from([bytes]))))).toMatchObject({
      code: 'media',
      message: expect.stringMatching(message),
    })
  })

  it.each([
    ['a path', 'clip.ts', {}, /fs\.createReadStream/],
    ['a file URL', new URL('file:///clip.ts'), {}, /expected an http\(s\) URL or a stream/],
    ['a short window', Readable.from([]), { windowSeconds: 0.01 }, /windowSeconds/],
    ['an unknown option', Readable.from([]), { windowSize: 1 }, /windowSize/],
  ])('refuses %s', async (_, source, options, message) => {
    const { live } = await setUp()
    const failure = await failureOf(live(source as Readable, options as Partial<LiveOptions>).next())
    expect(failure).toMatchObject({ code: 'invalid_argument', message: expect.stringMatching(message) })
  })

  it('survives any bytes: an error of this package or fewer windows, never more memory', async () => {
    const { live, embedder, double } = await setUp({ drop: 'none', maxBytes: 65_536 })
    const next = random(17)
    const originals = [recording(0, 4), mp4()]
    for (let round = 0; round < 150; round++) {
      const bytes = Buffer.from(originals[round % 2] as Uint8Array)
      for (let changes = next(12); changes >= 0; changes--) {
        const at = next(bytes.length)
        if (next(3) > 0) bytes[at] = next(256)
        else bytes.copy(bytes, next(bytes.length), at, at + next(400))
      }
      const cut = bytes.subarray(0, next(4) === 0 ? next(bytes.length) : bytes.length)
      const outcome = await collect(live(Readable.from([cut.subarray(0, 999), cut.subarray(999)]))).catch(
        (error) => error,
      )
      if (Array.isArray(outcome)) for (const { start, end } of outcome) expect(start).toBeLessThan(end)
      else expect(['media', 'limit', 'encrypted'], String(outcome.stack)).toContain(outcome.code)
    }
    nothingLeft({ embedder, double })
  }, 30_000)
})

/** Four seconds of a fragmented MP4, a fragment a second. */
function mp4(): Uint8Array {
  const word = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
  const box = (type: string, ...content: (Uint8Array | number[])[]): Uint8Array => {
    const body = Buffer.concat(content.map((part) => Uint8Array.from(part)))
    return Buffer.concat([Uint8Array.from(word(body.length + 8)), Buffer.from(type), body])
  }
  const words = (...values: number[]) => values.flatMap(word)
  const handler = box('hdlr', words(0, 0), [...Buffer.from('vide')])
  const media = box('mdia', box('mdhd', words(0, 0, 0, 1000, 0, 0)), handler)
  const trak = box('trak', box('tkhd', words(0, 0, 0, 1, 0, 0)), media)
  const movie = box('moov', trak, box('mvex', box('trex', words(0, 1, 1, 100, 50, 0x10000))))
  const parts = [box('ftyp', [...Buffer.from('iso5')]), movie]
  for (let second = 0; second < 4; second++) {
    const run = box('trun', words(0x000005, 10, 8 + 16 + 8 + 16 + 16 + 24 + 8, 0))
    const header = [box('tfhd', words(0x020000, 1)), box('tfdt', words(0, second * 1000))]
    parts.push(box('moof', box('mfhd', words(0, second)), box('traf', ...header, run)))
    parts.push(box('mdat', new Uint8Array(500)))
  }
  return Buffer.concat(parts)
}
