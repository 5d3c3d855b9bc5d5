/** Retrieval quality of the demo model, end to end: rendered scenes, encoded files, the addon, the engine. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RgbImage } from '#binding'
import { createEmbedder, type Embedder } from '../../src/index.ts'

interface Scene {
  file: string
  caption: string
  heldOut: boolean
  attributes: { objects: object[] }
}

const COUNT = 256
const renderer = fileURLToPath(new URL('../../scripts/demo-model/render.py', import.meta.url))
const python = ['/usr/bin/python3', 'python3'].find(
  (command) => spawnSync(command, ['-c', 'import numpy']).status === 0,
)
const canRender = python !== undefined && spawnSync('ffmpeg', ['-version']).status === 0
if (!canRender) console.warn('retrieval tests are skipped: they need python3 with numpy, and ffmpeg')

function render(folder: string, seed: number, twoObjectShare: number, format: string): Scene[] {
  const args = ['--seed', seed, '--count', COUNT, '--two-object-share', twoObjectShare, '--format', format]
  const result = spawnSync(python ?? '', [renderer, ...args.map(String), '--jobs', '2', '--out', folder], {
    encoding: 'utf8',
  })
  if (result.status !== 0) throw new Error(`render.py failed: ${result.stderr}`)
  return readFileSync(path.join(folder, 'captions.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const scene = JSON.parse(line) as Scene
      return { ...scene, file: path.join(folder, scene.file) }
    })
}

/** The share of texts whose best video, among all, is their own. */
function recallAt1(
  texts: readonly Float32Array[],
  videos: readonly Float32Array[],
  rows?: readonly number[],
): number {
  const asked = rows ?? texts.map((_, row) => row)
  const hits = asked.filter((row) => {
    const text = texts[row]
    const scores = videos.map((video) => dot(video, text ?? video))
    return scores.indexOf(Math.max(...scores)) === row
  })
  return hits.length / asked.length
}

function swapRedAndBlue({ width, height, data }: RgbImage): RgbImage {
  const swapped = new Uint8Array(data.length)
  for (let offset = 0; offset < data.length; offset += 3) {
    swapped.set([data[offset + 2] ?? 0, data[offset + 1] ?? 0, data[offset] ?? 0], offset)
  }
  return { width, height, data: swapped }
}

/** A deterministic shuffle. */
function shuffler(): <T>(items: Iterable<T>) => T[] {
  let state = 1
  const random = () => {
    state = (state * 16_807) % 2_147_483_647
    return state / 2_147_483_647
  }
  return (items) =>
    [...items]
      .map((item) => ({ item, order: random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ item }) => item)
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
}

describe.skipIf(!canRender)('text finds video', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'retrieval-'))
  let embedder: Embedder
  let scenes: Scene[]
  let texts: Float32Array[]
  let videos: Float32Array[]

  beforeAll(async () => {
    embedder = await createEmbedder()
    scenes = render(path.join(folder, 'one'), 20_261_122, 0, 'mixed')
    texts = await embed(scenes.map(({ caption }) => ({ text: caption })))
    videos = await embed(scenes.map(({ file }) => ({ video: file })))
  }, 900_000)

  afterAll(async () => {
    await embedder?.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  async function embed(items: Parameters<Embedder['embedMany']>[0]): Promise<Float32Array[]> {
    const settled = await embedder.embedMany(items)
    return settled.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value.embedding
    })
  }

  /** Vectors of the first `count` scenes, of frames that went through `change`. */
  async function embedChanged(
    count: number,
    change: (images: RgbImage[]) => RgbImage[],
  ): Promise<Float32Array[]> {
    const items: { frames: RgbImage[] }[] = []
    for (const { file } of scenes.slice(0, count)) {
      items.push({ frames: change((await embedder.frames(file)).images) })
    }
    return await embed(items)
  }

  test('among 256 distinct one-object captions, a part of them of combinations never trained', () => {
    expect(new Set(scenes.map(({ caption }) => caption)).size).toBe(COUNT)
    const unseen = scenes.flatMap(({ heldOut }, row) => (heldOut ? [row] : []))
    expect(unseen.length).toBeGreaterThan(COUNT / 20)
    expect(recallAt1(texts, videos)).toBeGreaterThanOrEqual(0.9)
    expect(recallAt1(texts, videos, unseen)).toBeGreaterThanOrEqual(0.8)
  })

  describe('with a quarter of two-object clips', () => {
    let mixed: Scene[]
    let captions: Float32Array[]
    let clips: Float32Array[]
    let pairs: number[]

    beforeAll(async () => {
      mixed = render(path.join(folder, 'two'), 4_077, 0.25, 'mixed')
      captions = await embed(mixed.map(({ caption }) => ({ text: caption })))
      clips = await embed(mixed.map(({ file }) => ({ video: file })))
      pairs = mixed.flatMap(({ attributes }, row) => (attributes.objects.length === 2 ? [row] : []))
    }, 300_000)

    test('text finds video', () => {
      expect(pairs.length).toBeGreaterThanOrEqual(COUNT / 5)
      expect(recallAt1(captions, clips)).toBeGreaterThanOrEqual(0.8)
      expect(recallAt1(captions, clips, pairs)).toBeGreaterThanOrEqual(0.7)
    })

    test('shuffled words do not: which colour belongs to which shape is lost', async () => {
      const shuffle = shuffler()
      const texts = mixed.map(({ caption }) => ({ text: shuffle(caption.split(' ')).join(' ') }))
      const shuffled = await embed(texts)
      expect(recallAt1(shuffled, clips, pairs)).toBeLessThan(0.6)
      const likeness = (of: Float32Array[]) =>
        of.reduce((sum, text, row) => sum + dot(text, clips[row] ?? text), 0) / of.length
      expect(likeness(captions)).toBeGreaterThan(0.8)
      expect(likeness(shuffled)).toBeLessThan(0.4)
    })

    test('shuffled letters do not: the tokenizer matters', async () => {
      const shuffle = shuffler()
      const scramble = (caption: string) => caption.split(' ').map((word) => shuffle(word).join(''))
      const scrambled = await embed(mixed.map(({ caption }) => ({ text: scramble(caption).join(' ') })))
      expect(recallAt1(scrambled, clips)).toBeLessThan(0.1)
    })
  })

  test('frames as pictures give the vectors of the video', async () => {
    const same = await embedChanged(8, (images) => images)
    same.forEach((vector, row) => {
      expect(dot(vector, videos[row] ?? vector)).toBeGreaterThan(0.99999)
    })
  })

  test.each([
    ['red and blue swapped', (images: RgbImage[]) => images.map(swapRedAndBlue)],
    ['played backwards', (images: RgbImage[]) => images.toReversed()],
  ])('%s, most are no longer found', async (_, change) => {
    const count = 96
    const changed = await embedChanged(count, change)
    expect(recallAt1(texts.slice(0, count), changed)).toBeLessThan(0.6)
  })
})
