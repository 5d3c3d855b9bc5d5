import { beforeAll, describe, expect, it } from 'vitest'
import binding, { type NativeClipOptions, type NativeSegmentReader } from '#binding'
import { failureOf, makeVideo, noFfmpeg, repeat } from './support.ts'

const options: NativeClipOptions = { frames: 2, height: 16, width: 16 }
const windows = { seconds: 2, stride: 2 }

describe.skipIf(noFfmpeg)('a segment reader', () => {
  let video: string
  let long: string
  beforeAll(() => {
    video = makeVideo('segments.mp4', 6, '64x48')
    long = repeat(makeVideo('segments-part.mp4', 4, '640x480'), 500)
  })

  const open = () => binding.openSegments({ path: video }, options, windows).promise

  it('returns one clip per window, then always null', async () => {
    const reader = await open()
    const ranges: number[][] = []
    for (let next = await reader.next().promise; next; next = await reader.next().promise) {
      expect(next.clip.byteLength).toBe(2 * 3 * 16 * 16)
      ranges.push([next.start, next.end])
    }
    expect(ranges).toEqual([
      [0, 2],
      [2, 4],
      [4, 6],
    ])
    expect(await reader.next().promise).toBeNull()
    reader.close()
  })

  it('rejects a source that cannot be opened', async () => {
    const job = binding.openSegments({ path: '/no/such.mkv' }, options, windows)
    expect((await failureOf(() => job.promise)).code).toBe('source')
  })

  it('refuses a second next() while one runs, and continues afterwards', async () => {
    const reader = await open()
    const first = reader.next()
    const refused = await failureOf(() => reader.next())
    expect(refused.code).toBe('invalid_argument')
    expect(refused.message).toMatch(/next\(\) was called before the previous one ended/)
    expect((await first.promise)?.start).toBe(0)
    expect((await reader.next().promise)?.start).toBe(2)
    reader.close()
  })

  it('is closed once, and throws when it is used afterwards', async () => {
    const reader = await open()
    reader.close()
    reader.close()
    const failure = await failureOf(() => reader.next())
    expect(failure.code).toBe('invalid_argument')
    expect(failure.message).toBe('NativeSegmentReader: it was closed and cannot be used any more')
  })

  it('stops a running next() when it is closed', async () => {
    const whole = { seconds: 2000, stride: 2000 }
    const reader = await binding.openSegments({ path: long }, { ...options, frames: 64 }, whole).promise
    const next = reader.next()
    reader.close()
    expect((await failureOf(() => next.promise)).code).toBe('cancelled')
  })

  it('is kept alive by a running next()', async () => {
    const reader: { now?: NativeSegmentReader } = { now: await open() }
    const next = reader.now?.next()
    delete reader.now
    expect((await next?.promise)?.start).toBe(0)
  })
})
