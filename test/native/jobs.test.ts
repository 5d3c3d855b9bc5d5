import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import binding, { type NativeClipOptions, type NativeDecodedClip, type NativeJob } from '#binding'
import { failureOf, makeVideo, noFfmpeg, repeat } from './support.ts'

const options: NativeClipOptions = { frames: 4, height: 24, width: 32 }

describe.skipIf(noFfmpeg)('a decode job', () => {
  let short: string
  let long: string
  beforeAll(() => {
    short = makeVideo('short.mp4', 2, '64x48')
    long = repeat(makeVideo('part.mp4', 4, '640x480'), 500)
  })

  // Every frame of the long video must be decoded: it has one keyframe per part and the last frame is wanted.
  const decodeLong = () => binding.decodeClip({ path: long }, { ...options, frames: 64, threads: 1 })

  async function settled(jobs: NativeJob<unknown>[]) {
    return Promise.allSettled(jobs.map((job) => job.promise))
  }

  it('returns the clip, its frames and the report', async () => {
    const { clip, frames, report, ...range } = await binding.decodeClip({ path: short }, options).promise
    expect(clip).toMatchObject({ frames: 4, height: 24, width: 32, byteLength: 4 * 3 * 24 * 32 })
    expect(frames.map(({ index }) => index)).toEqual([0, 6, 12, 19])
    expect(frames[3]?.pts).toBeCloseTo(1.9)
    expect(frames[0]?.keyframe).toBe(true)
    expect(report).toMatchObject({
      codec: 'h264',
      width: 64,
      height: 48,
      frameCount: 20,
      decoder: 'software',
    })
    expect(report.warnings).toEqual([])
    expect(range.start).toBe(0)
  })

  it('reads the same clip from a path, from bytes and from a view into a larger buffer', async () => {
    const file = readFileSync(short)
    const padded = new Uint8Array(file.length + 200)
    padded.set(file, 100)
    const sources = [{ path: short }, { bytes: file }, { bytes: padded.subarray(100, 100 + file.length) }]
    const clips = await Promise.all(sources.map((source) => binding.decodeClip(source, options).promise))
    const [first, ...others] = clips.map(({ clip }) => Buffer.from(clip.toBytes()))
    for (const other of others) expect(first?.equals(other)).toBe(true)
  })

  it('returns the frames at their own size on request', async () => {
    const { images } = await binding.decodeClip({ path: short }, { ...options, keepImages: true }).promise
    expect(images).toHaveLength(4)
    for (const image of images ?? []) {
      expect(image).toMatchObject({ width: 64, height: 48 })
      expect(image.data).toHaveLength(3 * 64 * 48)
    }
    const without = await binding.decodeClip({ path: short }, options).promise
    expect(without).not.toHaveProperty('images')
  })

  it('rejects with an Error that has the code and the details of a NativeFailure', async () => {
    const missing = await failureOf(() => binding.decodeClip({ path: '/no/such.mp4' }, options).promise)
    expect(missing).toBeInstanceOf(Error)
    expect(missing.code).toBe('source')
    expect(missing.message).toContain('/no/such.mp4')
    const text = await failureOf(
      () => binding.decodeClip({ bytes: Buffer.from('not a video, only words') }, options).promise,
    )
    expect(text.code).toBe('media')
    expect(text.details).toBeTypeOf('object')
  })

  it('is cancelled while it runs', async () => {
    const job = decodeLong()
    await setTimeout(50)
    job.cancel()
    job.cancel()
    expect((await failureOf(() => job.promise)).code).toBe('cancelled')
  })

  it('is cancelled immediately while it waits, before those that run', async () => {
    const running = Array.from({ length: availableParallelism() }, decodeLong)
    const waiting = Array.from({ length: 20 }, decodeLong)
    let ended = 0
    for (const { promise } of running) promise.catch(() => {}).finally(() => ended++)
    for (const job of waiting) job.cancel()
    const outcomes = await settled(waiting)
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(
      Array(20).fill('cancelled'),
    )
    expect(ended).toBe(0)
    for (const job of running) job.cancel()
    await settled(running)
  })

  it('keeps its result when it is cancelled too late', async () => {
    const job = binding.decodeClip({ path: short }, options)
    const { clip } = await job.promise
    job.cancel()
    expect((await job.promise).clip).toBe(clip)
    expect(clip.toBytes()).toHaveLength(clip.byteLength)
  })

  it('blocks neither the event loop nor the file system, however many wait', async () => {
    const jobs: NativeJob<NativeDecodedClip>[] = Array.from(
      { length: 4 * availableParallelism() + 8 },
      decodeLong,
    )
    let ended = 0
    for (const { promise } of jobs) promise.catch(() => {}).finally(() => ended++)
    for (let turn = 0; turn < 50; turn++) {
      await Promise.all([stat(short), setImmediate()])
    }
    expect(ended).toBe(0)
    for (const job of jobs) job.cancel()
    await settled(jobs)
  })
})
