import { beforeAll, describe, expect, it } from 'vitest'
import binding, { type NativeClipOptions, type NativeDecodedClip, type NativeWindows } from '#binding'
import { failureOf, makeVideo, noFfmpeg, repeat } from './support.ts'

const options: NativeClipOptions = { frames: 3, height: 16, width: 16 }
const shots = { shots: { threshold: 14, minSeconds: 0.5 } }

describe.skipIf(noFfmpeg)('shots of a video', () => {
  let long: string
  beforeAll(() => {
    long = repeat(makeVideo('shots-part.mp4', 4, '640x480'), 500)
  })

  const read = async (
    source: { path: string },
    windows: NativeWindows,
    more: Partial<NativeClipOptions> = {},
  ) => {
    const reader = await binding.openSegments(source, { ...options, ...more }, windows).promise
    const clips: NativeDecodedClip[] = []
    for (let next = await reader.next().promise; next; next = await reader.next().promise) clips.push(next)
    return clips
  }

  it('cover the range, as cuts do', async () => {
    const file = makeVideo('shots.mp4', 6, '64x48')
    for (const [windows, count] of [
      [shots, undefined],
      [{ cuts: [] }, 1],
      [{ cuts: [0.5, 2, 3.25] }, 3],
    ] as [NativeWindows, number | undefined][]) {
      const clips = await read({ path: file }, windows, { start: 1, end: 5 })
      if (count !== undefined) expect(clips).toHaveLength(count)
      expect(clips[0]?.start).toBe(1)
      expect(clips.at(-1)?.end).toBe(5)
      for (const [index, { start, end, clip }] of clips.entries()) {
        if (index > 0) expect(start).toBe(clips[index - 1]?.end)
        const alone = await binding.decodeClip({ path: file }, { ...options, start, end }).promise
        expect(Buffer.compare(clip.toBytes(), alone.clip.toBytes())).toBe(0)
      }
    }
  })

  it('stop being searched when the reader is closed', async () => {
    const reader = await binding.openSegments({ path: long }, options, {
      shots: { threshold: 765, minSeconds: 0.5 },
    }).promise
    const next = reader.next()
    reader.close()
    expect((await failureOf(() => next.promise)).code).toBe('cancelled')
  })
})
