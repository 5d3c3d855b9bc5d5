import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import binding, { type Binding } from '#binding'
import { runChild } from './support.ts'

const require = createRequire(import.meta.url)
const root = path.join(import.meta.dirname, '../..')
const addonFile = process.env.COSMOS_EMBED_ADDON ?? (require('node-gyp-build').resolve(root) as string)

// `keyof Binding` at run time. The compiler refuses missing and additional names here.
const declared = Object.keys({
  decodeClip: true,
  openSegments: true,
  createEngine: true,
  probeOnnxRuntime: true,
  probeTensorRt: true,
  probeGpu: true,
  openGpu: true,
  openDecoderPool: true,
  nearest: true,
  resizeRgb: true,
  vectorToJson: true,
  diagnostics: true,
} satisfies Record<keyof Binding, true>)

describe('the native boundary', () => {
  it('exports what binding.d.ts declares, from the addon and through the loader', () => {
    expect(Object.keys(require(addonFile)).sort()).toEqual(declared.sort())
    expect(Object.keys(binding).sort()).toEqual(declared)
  })

  it('exports only the two symbols that Node looks up', ({ skip }) => {
    const nm = spawnSync('nm', ['-D', '--defined-only', '--format=just-symbols', addonFile], {
      encoding: 'utf8',
    })
    if (nm.error) skip('there is no nm program')
    expect(nm.stdout.trim().split('\n').sort()).toEqual([
      'napi_register_module_v1',
      'node_api_module_get_api_version_v1',
    ])
  })

  it('reports what it was built from and what this FFmpeg supports', () => {
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
    const diagnostics = binding.diagnostics()
    expect(diagnostics).toMatchObject({
      version,
      napi: 9,
      compiler: expect.stringMatching(/^(gcc|clang) \d/),
      simd: expect.stringMatching(/^(avx2|sse2|neon)$/),
    })
    expect(diagnostics.ffmpeg.avcodec).toMatch(/^\d+\.\d+\.\d+$/)
    expect(diagnostics.ffmpeg.avformat).toMatch(/^\d+\.\d+\.\d+$/)
    expect(diagnostics.ffmpeg.decoders).toContain('h264')
    expect(diagnostics.ffmpeg.demuxers).toContain('matroska,webm')
  })

  it('loads nothing on import; the first call loads the addon or explains why it cannot', async () => {
    const child = await runChild('broken-addon.mjs', [path.join(root, 'package.json')])
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toMatchObject({
      imported: true,
      code: 'library',
      message: expect.stringContaining('package.json'),
    })
  })
})

describe('resizeRgb', () => {
  it('resizes as Pillow does', () => {
    // Computed by hand: one pixel, 3/4 and 1/4, 1/4 and 3/4, the other pixel.
    const image = { width: 2, height: 1, data: Uint8Array.of(0, 10, 200, 255, 20, 0) }
    expect(binding.resizeRgb(image, 4, 1)).toEqual({
      width: 4,
      height: 1,
      data: Uint8Array.of(0, 10, 200, 64, 13, 150, 191, 18, 50, 255, 20, 0),
    })
  })

  it('reads only the part of a buffer that a view covers', () => {
    const whole = Uint8Array.of(9, 9, 9, 1, 2, 3, 9, 9, 9)
    const image = { width: 1, height: 1, data: whole.subarray(3, 6) }
    expect(binding.resizeRgb(image, 1, 2).data).toEqual(Uint8Array.of(1, 2, 3, 1, 2, 3))
  })
})

describe('vectorToJson', () => {
  it('writes the shortest numbers that read back as the same float32', () => {
    const text = binding.vectorToJson(Float32Array.of(-0.040073785930871964, 0.1, 1, -1 / 3, 16777216, 1e-7))
    expect(text).toBe('[-0.040073786,0.1,1,-0.33333334,16777216,1e-07]')
    expect(binding.vectorToJson(new Float32Array())).toBe('[]')
  })

  it('reads back exactly over all exponents, also through a double', () => {
    const bits = new Uint32Array(20_000)
    // Every exponent and sign, with mantissas from a linear congruential generator, and the smallest and largest ones.
    let seed = 7
    for (let i = 0; i < bits.length; i += 1) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      const mantissa = i % 16 === 0 ? ((i / 16) % 2 === 0 ? 0 : 0x7fffff) : seed >>> 9
      bits[i] = (((i % 2) << 31) | (((i >>> 1) % 255) << 23) | mantissa) >>> 0
    }
    const vector = new Float32Array(bits.buffer)
    const read = Float32Array.from(JSON.parse(binding.vectorToJson(vector)) as number[])
    const readBits = new Uint32Array(read.buffer)
    expect(bits.filter((value, i) => value !== readBits[i])).toEqual(new Uint32Array())
  })

  it('writes null for what JSON cannot hold, as JSON.stringify does', () => {
    expect(binding.vectorToJson(Float32Array.of(Number.NaN, Infinity, -Infinity))).toBe('[null,null,null]')
  })

  it.each([[[1]], [new Float64Array(1)], [undefined]])('refuses %j', (vector) => {
    expect(() => binding.vectorToJson(vector as unknown as Float32Array)).toThrow(/vector: .*Float32Array/)
  })
})

describe('nearest', () => {
  it('finds the rows with the largest dot products, off the event loop', async () => {
    // Two rows before, which a view leaves out.
    const whole = Float32Array.from([9, 9, 9, 9, 0, 1, 1, 0, 1, 1, -1, 0, 1, 1])
    const vectors = whole.subarray(4)
    const { rows, scores } = await binding.nearest(vectors, Float32Array.of(1, 2), 3).promise
    expect(rows).toEqual(Uint32Array.of(2, 4, 0))
    expect(scores).toEqual(Float32Array.of(3, 3, 2))
    const all = await binding.nearest(vectors, Float32Array.of(1, 2), 100).promise
    expect(all.rows).toEqual(Uint32Array.of(2, 4, 0, 1, 3))
  })

  it('is cancelled while it waits or runs', async () => {
    const vectors = new Float32Array(32 * 2 ** 20).fill(1)
    const jobs = Array.from({ length: 80 }, () => binding.nearest(vectors, Float32Array.of(1), 1))
    for (const job of jobs) job.cancel()
    const codes = await Promise.all(jobs.map(({ promise }) => promise.catch(({ code }) => code)))
    expect(codes).toContain('cancelled')
  })
})
