import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import binding, { type NativeClip, type NativeEngine, type NativeEngineOptions } from '#binding'
import { engineOptions, noOnnxRuntime } from './models.ts'
import { failureOf } from './support.ts'

const dim = engineOptions.embeddingDim

function clipOf(color: number[], size = 224): Promise<NativeClip> {
  const data = Uint8Array.from({ length: 3 * 8 * 8 }, (_, i) => color[i % 3] ?? 0)
  const job = binding.decodeClip(
    { images: [{ width: 8, height: 8, data }] },
    { frames: 8, height: size, width: size },
  )
  return job.promise.then(({ clip }) => clip)
}

function rowsOf(vectors: Float32Array): Float32Array[] {
  return Array.from({ length: vectors.length / dim }, (_, i) => vectors.subarray(i * dim, (i + 1) * dim))
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
}

describe.skipIf(noOnnxRuntime)('an engine', () => {
  let engine: NativeEngine
  let clips: NativeClip[]
  beforeAll(async () => {
    engine = await binding.createEngine(engineOptions).promise
    clips = await Promise.all([clipOf([255, 0, 0]), clipOf([0, 255, 0]), clipOf([0, 0, 255])])
  })
  afterAll(() => engine.close())

  it('describes itself', () => {
    expect(engine.info).toMatchObject({
      backend: 'onnxruntime',
      frames: 8,
      height: 224,
      width: 224,
      embeddingDim: dim,
    })
    expect(engine.info.library).toBe(engineOptions.library)
    expect(engine.info.version).toBe(binding.probeOnnxRuntime(engineOptions.library).version)
    expect(Object.isFrozen(engine.info)).toBe(true)
  })

  it('returns one unit vector per clip, in order, the same alone and in a batch', async () => {
    const together = rowsOf(await engine.encodeVideo(clips).promise)
    expect(together).toHaveLength(3)
    for (const [i, clip] of clips.entries()) {
      const alone = await engine.encodeVideo([clip]).promise
      expect(dot(alone, alone)).toBeCloseTo(1, 4)
      expect(dot(alone, together[i] as Float32Array)).toBeCloseTo(1, 4)
    }
    expect(dot(together[0] as Float32Array, together[1] as Float32Array)).toBeLessThan(0.999)
  })

  it('masks the padding of short rows', async () => {
    const long = Int32Array.of(1, 5, 9, 4, 7, 2)
    const short = Int32Array.of(1, 2)
    const [, padded] = rowsOf(await engine.encodeText([long, short]).promise)
    const alone = await engine.encodeText([short]).promise
    expect(dot(alone, padded as Float32Array)).toBeCloseTo(1, 4)
  })

  it('encodes many jobs at once, each with its own result', async () => {
    const expected = rowsOf(await engine.encodeVideo(clips).promise)
    const order = [2, 0, 1, 1, 2, 0]
    const jobs = order.map((i) => engine.encodeVideo([clips[i] as NativeClip]).promise)
    for (const [at, vector] of (await Promise.all(jobs)).entries()) {
      expect(dot(vector, expected[order[at] as number] as Float32Array)).toBeCloseTo(1, 4)
    }
  })

  it('encodes batches of texts beside each other and beside videos, and stops those that are cancelled', async () => {
    const lanes = await binding.createEngine({ ...engineOptions, textLanes: 3 } as NativeEngineOptions)
      .promise
    expect(lanes.info).toMatchObject({ textLanes: 3, videoLanes: 1 })
    const texts = Array.from({ length: 12 }, (_, i) =>
      Int32Array.from({ length: 3 + i }, (_, at) => 1 + at + i),
    )
    const expected = await Promise.all(texts.map((row) => engine.encodeText([row]).promise))
    const dropped = lanes.encodeText(texts)
    dropped.promise.catch(() => {})
    const jobs = texts.map((row) => lanes.encodeText([row]).promise)
    const video = lanes.encodeVideo(clips).promise
    dropped.cancel()
    expect(await Promise.all(jobs)).toEqual(expected)
    expect(await video).toEqual(await engine.encodeVideo(clips).promise)
    // Closes while every lane is busy.
    const late = texts.map((row) => lanes.encodeText([row]).promise)
    const outcomes = Promise.allSettled(late)
    await lanes.close()
    for (const outcome of await outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'cancelled' })
    }
  })

  it('keeps the pixels of a clip that is released while its job waits', async () => {
    const clip = await clipOf([255, 0, 0])
    const [expected] = rowsOf(await engine.encodeVideo(clips).promise)
    const jobs = Array.from({ length: 8 }, () => engine.encodeVideo([clip]))
    clip.release()
    for (const { promise } of jobs) expect(dot(await promise, expected as Float32Array)).toBeCloseTo(1, 4)
  })

  it.each([
    ['clips', (e: NativeEngine) => e.encodeVideo([]), 'an array of 1 or more, found an array of 0'],
    ['clips', (e: NativeEngine) => e.encodeVideo(clips[0] as never), 'an array, found an object'],
    [
      'clips[1]',
      (e: NativeEngine) => e.encodeVideo([clips[0], {}] as never),
      'a NativeClip, found an object',
    ],
    ['clips[0]', (e: NativeEngine) => e.encodeVideo([e] as never), 'a NativeClip, found an object'],
    ['rows', (e: NativeEngine) => e.encodeText('abc' as never), 'an array, found "abc"'],
    ['rows[0]', (e: NativeEngine) => e.encodeText([new Int32Array()]), 'found an empty one'],
    [
      'rows[0]',
      (e: NativeEngine) => e.encodeText([[1, 2]] as never),
      'an Int32Array of at least one token id',
    ],
    ['rows[1]', (e: NativeEngine) => e.encodeText([Int32Array.of(1), Int32Array.of(3, -7)]), 'found -7'],
  ])('refuses wrong %s', async (field, call, problem) => {
    const failure = await failureOf(() => call(engine))
    expect(failure).toMatchObject({ code: 'invalid_argument', details: { field } })
    expect(failure.message).toContain(problem)
  })

  it('refuses a clip that was released, and one of another shape', async () => {
    const released = await clipOf([0, 0, 0])
    released.release()
    const failure = await failureOf(() => engine.encodeVideo([clips[0] as NativeClip, released]))
    expect(failure.message).toBe(
      'clips[1]: expected a NativeClip that still has its pixels, found one that was released',
    )
    const small = await clipOf([0, 0, 0], 64)
    const shape = await failureOf(() => engine.encodeVideo([small]).promise)
    expect(shape.code).toBe('invalid_argument')
    expect(shape.message).toMatch(/64x64.*224x224/)
  })

  it('drops cancelled jobs and completes the others', async () => {
    const jobs = Array.from({ length: 12 }, () => engine.encodeVideo(clips))
    for (const job of jobs.slice(1, -1)) job.cancel()
    const outcomes = await Promise.allSettled(jobs.map(({ promise }) => promise))
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      ...Array(10).fill('rejected'),
      'fulfilled',
    ])
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason.code).toBe('cancelled')
  })

  it('cancels everything when it is closed, and throws when it is used afterwards', async () => {
    const closing = await binding.createEngine(engineOptions).promise
    const jobs = Array.from({ length: 6 }, () => closing.encodeVideo(clips))
    const outcomes = Promise.allSettled(jobs.map(({ promise }) => promise))
    const closed = closing.close()
    expect(closing.close()).toBe(closed)
    const used = await failureOf(() => closing.encodeText([Int32Array.of(1)]))
    expect(used).toMatchObject({ code: 'invalid_argument' })
    expect(used.message).toBe('NativeEngine: it was closed and cannot be used any more')
    expect(await closed).toBeUndefined()
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'cancelled' } })
    }
    expect(closing.info.embeddingDim).toBe(dim)
  })
})

describe('createEngine', () => {
  const create = (changes: object) => () => binding.createEngine({ ...engineOptions, ...changes }).promise

  it.each([
    ['options.backend', create({ backend: 'tensorflow' }), '"onnxruntime" or "tensorrt", found "tensorflow"'],
    [
      'options.library',
      create({ library: 'libonnxruntime.so.1' }),
      'an absolute path, found "libonnxruntime.so.1"',
    ],
    ['options.video', create({ video: '' }), 'a string that is not empty'],
    ['options.frames', create({ frames: -1 }), 'an integer from 1 to 64, found -1'],
    ['options.embeddingDim', create({ embeddingDim: 2 ** 31 }), 'an integer from 1 to 65536'],
    ['options.padTokenId', create({ padTokenId: undefined }), 'found undefined'],
    ['options.intraOpThreads', create({ intraOpThreads: 0.5 }), 'an integer from 0 to 1024, found 0.5'],
    ['options.textLanes', create({ textLanes: 0 }), 'an integer from 1 to 64, found 0'],
    ['options.spinning', create({ spinning: 'no' }), 'true or false, found "no"'],
  ])('refuses a wrong %s', async (field, call, problem) => {
    const failure = await failureOf(call)
    expect(failure).toMatchObject({ code: 'invalid_argument', details: { field } })
    expect(failure.message).toContain(problem)
  })

  it('names the library that it could not open', async () => {
    for (const call of [
      create({ library: '/no/libonnxruntime.so.1' }),
      () => binding.probeOnnxRuntime('/no/libonnxruntime.so.1'),
    ]) {
      const failure = await failureOf(call)
      expect(failure.code).toBe('library')
      expect(failure.message).toContain('/no/libonnxruntime.so.1')
    }
  })

  it.skipIf(noOnnxRuntime)('says which graph is not the one that the model file describes', async () => {
    const missing = await failureOf(create({ video: '/no/video.onnx' }))
    expect(missing.code).toBe('model')
    expect(missing.message).toContain('/no/video.onnx')
    expect((await failureOf(create({ embeddingDim: 255 }))).code).toBe('model')
    expect((await failureOf(create({ video: engineOptions.text }))).code).toBe('model')
  })
})
