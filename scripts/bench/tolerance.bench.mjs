// npm run bench tolerance: what frameTolerance does to the vectors, on rendered clips with known captions.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { dot } from '../../dist/cli/search.js'
import { createEmbedder } from '../../dist/index.js'
import { median, report, round } from './report.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      count: { type: 'string', default: '256' },
      seed: { type: 'string', default: '7' },
      tolerance: { type: 'string', default: '0,0.1,0.25,0.5' },
    },
  })
  const folder = path.join(root, '.cache', 'bench-media', `scenes-${values.seed}-${values.count}`)
  const list = path.join(folder, 'captions.jsonl')
  if (!existsSync(list)) render(folder, values)
  const scenes = readFileSync(list, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

  const embedder = await createEmbedder()
  try {
    const embed = async (items) =>
      (await embedder.embedMany(items)).map((result) => {
        if (result.status === 'rejected') throw result.reason
        return result.value
      })
    const texts = await embed(scenes.map(({ caption }) => ({ text: caption })))
    let exact
    const rows = []
    for (const frameTolerance of [
      0,
      ...values.tolerance
        .split(',')
        .map(Number)
        .filter((s) => s > 0),
    ]) {
      const videos = await embed(
        scenes.map(({ file }) => ({ video: path.join(folder, file), frameTolerance })),
      )
      exact ??= videos
      const cosines = videos.map(({ embedding }, index) => dot(embedding, exact[index].embedding))
      const found = texts.filter(({ embedding }, row) => {
        const scores = videos.map((video) => dot(embedding, video.embedding))
        return scores.indexOf(Math.max(...scores)) === row
      })
      rows.push({
        'tolerance s': frameTolerance,
        'median cosine with exact': round(median(cosines), 4),
        'lowest cosine': round(Math.min(...cosines), 4),
        'text→video R@1': round(found.length / texts.length, 3),
        'pictures decoded': videos.reduce((sum, { media }) => sum + media.decoded, 0),
      })
    }
    report('tolerance', rows, { model: embedder.info().model.id })
  } finally {
    await embedder.dispose()
  }
}

function render(folder, { count, seed }) {
  const renderer = path.join(root, 'scripts', 'demo-model', 'render.py')
  const args = [
    '--seed',
    seed,
    '--count',
    count,
    '--two-object-share',
    '0.25',
    '--format',
    'mp4',
    '--jobs',
    '2',
  ]
  const result = spawnSync('/usr/bin/python3', [renderer, ...args, '--out', folder], { stdio: 'inherit' })
  if (result.status !== 0)
    throw new Error(`render.py failed: ${result.error?.message ?? `exit ${result.status}`}`)
}
