/** Uses of vectors, and monitoring. */
import { channel } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openEmbedder } from '../../src/embedder.ts'
import { CosmosEmbedError, type ItemEvent, rank, similarity } from '../../src/index.ts'
import { BindingDouble } from './double.ts'
import { clip, failureOf, nothingLeft, onnxruntime, open, turns } from './support.ts'

describe('uses of vectors', () => {
  it('classify ranks labels', async () => {
    const both = await open()
    // In the double, a text of n letters has the vector of n + 2 tokens.
    const labels = ['a', 'bbb', 'ccccc']
    const scores = await both.embedder.classify(clip(7), labels)
    expect(scores[0]).toEqual({ label: 'ccccc', score: expect.closeTo(1, 6) })
    expect(scores.map(({ label }) => label).toSorted()).toEqual(labels)
    expect(scores.map(({ score }) => score)).toEqual(
      scores.map(({ score }) => score).toSorted((a, b) => b - a),
    )
    for (const wrong of [[], [1], 'abc', undefined]) {
      expect(await failureOf(both.embedder.classify(clip(7), wrong as unknown as string[]))).toMatchObject({
        code: 'invalid_argument',
      })
    }
    nothingLeft(both)
  })

  it('similarity and rank accept vectors of any array type', () => {
    expect(similarity([1, 0], Float32Array.of(0.5, 0))).toBe(1)
    expect(similarity({ embedding: [1, 1] }, [-2, -2])).toBeCloseTo(-1, 12)
    const ranked = rank(
      [1, 0],
      [
        { embedding: [0, 1], name: 'b' },
        { embedding: [1, 0], name: 'a' },
      ],
    )
    expect(ranked.map(({ item, index }) => [item.name, index])).toEqual([
      ['a', 1],
      ['b', 0],
    ])
    for (const [a, b] of [
      [[1], [1, 0]],
      [
        [0, 0],
        [1, 0],
      ],
      [
        [Number.NaN, 0],
        [1, 0],
      ],
      [[], []],
      ['ab', 'ab'],
    ]) {
      expect(() => similarity(a as number[], b as number[])).toThrow(CosmosEmbedError)
    }
  })

  it('frames are those that the model is given', async () => {
    const both = await open()
    const { frames, clip: pixels, media, warnings } = await both.embedder.frames(clip(254), { end: 2 })
    expect(frames).toHaveLength(8)
    expect(pixels).toBeInstanceOf(Uint8Array)
    expect(media).toMatchObject({ container: 'double', decoded: 8 })
    expect(media).not.toHaveProperty('openMs')
    expect(warnings).toEqual([{ code: 'media', message: 'the file is damaged' }])
    expect(both.double.clipOptions[0]).toMatchObject({ frames: 8, width: 16, end: 2, keepImages: true })
    expect(both.double.batches).toEqual([])
    nothingLeft(both)
  })
})

it('a diagnostics channel reports the items of every embedder', async () => {
  const seen: ItemEvent[] = []
  const items = channel('cosmos-embed:item')
  const listener = (event: unknown) => seen.push(event as ItemEvent)
  items.subscribe(listener)
  onTestFinished(() => void items.unsubscribe(listener))
  const [first, second] = [await open(), await open()]
  await first.embedder.embedText('a')
  await failureOf(second.embedder.embedVideo(clip(255)))
  expect(seen).toMatchObject([
    { kind: 'text', outcome: 'ok' },
    { kind: 'video', outcome: 'error', code: 'media' },
  ])
})

it('warns once when the demo model is used because no model was given', async () => {
  const warnings: Error[] = []
  const listener = (warning: Error) => warnings.push(warning)
  process.on('warning', listener)
  onTestFinished(() => void process.off('warning', listener))
  for (let i = 0; i < 2; i++) await (await openEmbedder({ onnxruntime }, new BindingDouble())).dispose()
  await open()
  await turns()
  expect(warnings).toMatchObject([
    { code: 'COSMOS_EMBED_DEMO_MODEL', message: expect.stringMatching(/demo/) },
  ])
})
