import { describe, expect, it } from 'vitest'
import binding, { type NativeClipOptions, type NativeWindows } from '#binding'
import { failureOf } from './support.ts'

const options: NativeClipOptions = { frames: 2, height: 8, width: 8 }
const pixel = { width: 1, height: 1, data: new Uint8Array(3) }

function detached(): Uint8Array {
  const bytes = new Uint8Array(4)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  return bytes
}

// Arguments that callers without a type checker may pass.
const decode =
  (source: unknown, changes: object = {}) =>
  () =>
    binding.decodeClip(source as { path: string }, { ...options, ...changes })
const segments = (windows: unknown) => () =>
  binding.openSegments({ path: 'a.mp4' }, options, windows as NativeWindows)
const resize =
  (image: unknown, width: unknown = 1, height: unknown = 1) =>
  () =>
    binding.resizeRgb(image as typeof pixel, width as number, height as number)

const nearest =
  (vectors: unknown, query: unknown = new Float32Array(2), count: unknown = 1) =>
  () =>
    binding.nearest(vectors as Float32Array, query as Float32Array, count as number)

describe('wrong arguments are refused at the call, by name', () => {
  it.each([
    ['vectors', nearest([1, 2]), 'a Float32Array of at least one float, found an array of 2'],
    ['vectors', nearest(new Float32Array(3)), 'a multiple of 2 floats (the length of query), found 3'],
    ['query', nearest(new Float32Array(2), new Float64Array(2)), 'found a Float64Array'],
    ['query', nearest(new Float32Array(2), new Float32Array()), 'found an empty one'],
    ['count', nearest(new Float32Array(2), new Float32Array(2), 0), 'an integer from 1 to 1000000, found 0'],
    ['options.frames', decode({ path: 'a' }, { frames: 0 }), 'an integer from 1 to 64, found 0'],
    ['options.frames', decode({ path: 'a' }, { frames: 65 }), 'an integer from 1 to 64, found 65'],
    ['options.frames', decode({ path: 'a' }, { frames: 1.5 }), 'an integer from 1 to 64, found 1.5'],
    ['options.frames', decode({ path: 'a' }, { frames: '8' }), 'an integer from 1 to 64, found "8"'],
    ['options.frames', decode({ path: 'a' }, { frames: undefined }), 'from 1 to 64, found undefined'],
    ['options.height', decode({ path: 'a' }, { height: 2 ** 31 }), 'from 1 to 4096, found 2147483648'],
    ['options.width', decode({ path: 'a' }, { width: Number.NaN }), 'from 1 to 4096, found NaN'],
    ['options.start', decode({ path: 'a' }, { start: -1 }), 'a number from 0 to 1000000000, found -1'],
    ['options.start', decode({ path: 'a' }, { start: Infinity }), 'to 1000000000, found Infinity'],
    ['options.start', decode({ path: 'a' }, { start: null }), 'to 1000000000, found null'],
    ['options.end', decode({ path: 'a' }, { start: 2, end: 2 }), 'more than options.start, found 2'],
    [
      'options.frameRule',
      decode({ path: 'a' }, { frameRule: 'vss' }),
      '"rounded", { indices } or { timestamps }',
    ],
    ['options.frameRule', decode({ path: 'a' }, { frameRule: [1, 2] }), 'found an array of 2'],
    ['options.frameRule', decode({ path: 'a' }, { frameRule: {} }), 'found neither'],
    [
      'options.frameRule.indices',
      decode({ path: 'a' }, { frameRule: { indices: [1, 2, 3] } }),
      'one for each frame',
    ],
    ['options.frameRule.indices[1]', decode({ path: 'a' }, { frameRule: { indices: [0, -1] } }), 'found -1'],
    [
      'options.frameRule.timestamps[0]',
      decode({ path: 'a' }, { frameRule: { timestamps: [NaN, 0] } }),
      'found NaN',
    ],
    ['options.frameTolerance', decode({ path: 'a' }, { frameTolerance: 1n }), 'found a bigint'],
    ['options.threads', decode({ path: 'a' }, { threads: 0 }), 'an integer from 1 to 64, found 0'],
    ['options.keepImages', decode({ path: 'a' }, { keepImages: 1 }), 'true or false, found 1'],
    ['options.limits', decode({ path: 'a' }, { limits: 5 }), 'an object, found 5'],
    ['options.limits.maxStreams', decode({ path: 'a' }, { limits: { maxStreams: 2 ** 31 } }), '2147483647'],
    ['options.limits.maxBytes', decode({ path: 'a' }, { limits: { maxBytes: 2 ** 60 } }), '9007199254740991'],
    ['source', decode(undefined), 'an object, found undefined'],
    ['source', decode({}), 'either `path` or `bytes`, found neither'],
    ['source', decode({ path: 'a', bytes: new Uint8Array(1) }), 'found both'],
    ['source', decode({ path: 'a', images: [pixel] }), 'found `images` beside another'],
    ['source.path', decode({ path: '' }), 'a string that is not empty, found ""'],
    ['source.path', decode({ path: 'a\0b' }), 'a string without NUL characters'],
    ['source.path', decode({ path: new URL('file:///a') }), 'a string, found an object'],
    ['source.bytes', decode({ bytes: new Uint8Array() }), 'at least one byte, found an empty one'],
    ['source.bytes', decode({ bytes: [1, 2] }), 'a Uint8Array of at least one byte, found an array of 2'],
    ['source.bytes', decode({ bytes: new Uint16Array(1) }), 'found a Uint16Array'],
    ['source.bytes', decode({ bytes: new ArrayBuffer(8) }), 'found an ArrayBuffer'],
    ['source.bytes', decode({ bytes: detached() }), 'detached (it was transferred elsewhere)'],
    ['source.images', decode({ images: [] }), 'an array of 1 or more, found an array of 0'],
    ['source.images', decode({ images: pixel }), 'an array, found an object'],
    ['source.images[1]', decode({ images: [pixel, 'x.png'] }), 'found "x.png"'],
    ['source.images[0].width', decode({ images: [{ ...pixel, width: 0 }] }), 'from 1 to 65535, found 0'],
    [
      'source.images[0].data',
      decode({ images: [{ ...pixel, width: 2 }] }),
      '6 bytes (3 * width * height), found 3',
    ],
    ['windows', segments(undefined), 'an object, found undefined'],
    ['windows.seconds', segments({ seconds: 0, stride: 1 }), 'a number from 0.001 to 1000000000, found 0'],
    ['windows.stride', segments({ seconds: 1 }), 'found undefined'],
    ['windows.cuts', segments({ cuts: 1 }), 'an array, found 1'],
    ['windows.cuts[1]', segments({ cuts: [1, 1] }), 'more than the cut before, found 1'],
    ['windows.cuts[0]', segments({ cuts: [-1] }), 'a number from 0 to 1000000000, found -1'],
    ['windows.shots', segments({ shots: true }), 'an object, found true'],
    ['windows.shots.threshold', segments({ shots: { threshold: 0, minSeconds: 1 } }), 'from 0.001 to 765'],
    ['windows.shots.minSeconds', segments({ shots: { threshold: 9 } }), 'found undefined'],
    ['width', resize(pixel, 0), 'an integer from 1 to 16384, found 0'],
    ['height', resize(pixel, 1, 16385), 'an integer from 1 to 16384, found 16385'],
    ['image.data', resize({ ...pixel, data: new Float32Array(3) }), 'found a Float32Array'],
  ])('%s', async (field, call, problem) => {
    const failure = await failureOf(call)
    expect(failure).toBeInstanceOf(Error)
    expect(failure.code).toBe('invalid_argument')
    expect(failure.details).toEqual({ field })
    expect(failure.message.startsWith(`${field}: expected `)).toBe(true)
    expect(failure.message).toContain(problem)
  })

  it('shortens a long string, between characters', async () => {
    const failure = await failureOf(decode({ path: 'a' }, { frames: 'é'.repeat(500) }))
    expect(failure.message).toMatch(/found "é{30}…"$/)
  })

  it('refuses a buffer that can shrink under the decoder', async ({ skip }) => {
    const Resizable = ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer
    const buffer = new Resizable(8, { maxByteLength: 16 })
    if (!('resizable' in buffer)) skip('this Node has no resizable ArrayBuffer')
    const failure = await failureOf(decode({ bytes: new Uint8Array(buffer) }))
    expect(failure.message).toMatch(/fixed size .* found one over a resizable ArrayBuffer/)
  })

  it('detects bytes that a later getter transfers away', async () => {
    const bytes = new Uint8Array(8)
    const images = [
      bytes,
      {
        width: 1,
        height: 1,
        get data() {
          structuredClone(bytes, { transfer: [bytes.buffer] })
          return pixel.data
        },
      },
    ]
    expect((await failureOf(decode({ images }))).message).toMatch(/detached while the arguments were read/)
  })

  it('passes on an exception of a getter unchanged', async () => {
    const own = new Error('mine')
    const source = {
      get path() {
        throw own
      },
    }
    expect(await failureOf(decode(source))).toBe(own)
  })
})
