/** The embedded model through the whole path: rendered scenes, encoded files, the addon, the engine. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RgbImage } from '#binding'
import { createEmbedder, type Embedder, extractFrames } from '../../src/index.ts'

interface Scene {
  file: string
  caption: string
  heldOut: boolean
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
    const scores = videos.map((video) => video.reduce((sum, value, i) => sum + value * (text?.[i] ?? 0), 0))
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

/** The words of a caption in an order that depends on the caption alone. */
function shuffleWords(caption: string): string {
  const key = (word: string, index: number) =>
    (word.length * 7919 + index * 104729 + word.charCodeAt(0) * 31) % 1009
  return caption
    .split(' ')
    .map((word, index) => ({ word, order: key(word, index) }))
    .sort((a, b) => a.order - b.order)
    .map(({ word }) => word)
    .join(' ')
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
  }, 300_000)

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
      items.push({ frames: change((await extractFrames(file)).images) })
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

  test('with a quarter of two-object clips', async () => {
    const mixed = render(path.join(folder, 'two'), 4_077, 0.25, 'mixed')
    const mixedTexts = await embed(mixed.map(({ caption }) => ({ text: caption })))
    const mixedVideos = await embed(mixed.map(({ file }) => ({ video: file })))
    expect(recallAt1(mixedTexts, mixedVideos)).toBeGreaterThanOrEqual(0.8)
  }, 300_000)

  test('frames as pictures give the vectors of the video', async () => {
    const same = await embedChanged(8, (images) => images)
    same.forEach((vector, row) => {
      const cosine = vector.reduce((sum, value, i) => sum + value * (videos[row]?.[i] ?? 0), 0)
      expect(cosine).toBeGreaterThan(0.99999)
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

  test('with the words of the captions shuffled, most are no longer found', async () => {
    const shuffled = await embed(scenes.map(({ caption }) => ({ text: shuffleWords(caption) })))
    expect(recallAt1(shuffled, videos)).toBeLessThan(0.6)
  })
})
