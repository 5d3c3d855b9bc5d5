import { beforeAll, describe, expect, it } from 'vitest'
import binding, { type NativeClip } from '#binding'
import { failureOf } from './support.ts'

const red = { width: 2, height: 2, data: Uint8Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? 200 : 10)) }

const makeClip = async () =>
  (await binding.decodeClip({ images: [red] }, { frames: 2, height: 4, width: 3 }).promise).clip

describe('a clip', () => {
  let clip: NativeClip
  beforeAll(async () => {
    clip = await makeClip()
  })

  it('holds planar frames', () => {
    expect(clip).toMatchObject({ frames: 2, height: 4, width: 3, byteLength: 72 })
    const plane = (value: number) => Array<number>(12).fill(value)
    const frame = [...plane(200), ...plane(10), ...plane(10)]
    expect([...clip.toBytes()]).toEqual([...frame, ...frame])
  })

  it('returns a copy of its pixels', () => {
    clip.toBytes().fill(0)
    expect(clip.toBytes()[0]).toBe(200)
  })

  it('cannot be written, constructed or impersonated', async () => {
    expect(() => Object.assign(clip, { frames: 5 })).toThrow(TypeError)
    const Clip = clip.constructor as new () => NativeClip
    expect((await failureOf(() => new Clip())).message).toMatch(/NativeClip: cannot be constructed/)
    const frames = Object.getOwnPropertyDescriptor(Clip.prototype, 'frames')
    for (const other of [{}, Object.create(clip), new Proxy(clip, {}), 5]) {
      expect((await failureOf(() => frames?.get?.call(other))).message).toBe('this: not a NativeClip')
      await failureOf(() => Clip.prototype.toBytes.call(other))
    }
  })

  it('is released once, and throws when it is used afterwards', async () => {
    const released = await makeClip()
    released.release()
    released.release()
    for (const use of [() => released.toBytes(), () => released.frames, () => released.byteLength]) {
      const failure = await failureOf(use)
      expect(failure.code).toBe('invalid_argument')
      expect(failure.message).toBe('NativeClip: it was released and cannot be used any more')
    }
  })
})
