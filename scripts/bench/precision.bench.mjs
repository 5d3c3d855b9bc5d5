// npm run bench precision: compares the CPU cost and the vectors of bundles that hold one checkpoint in several precisions.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { createEmbedder, similarity } from '../../dist/index.js'
import { median, report, round } from './report.mjs'
import { scenes } from './scenes.mjs'

const usage = `npm run bench precision -- --model DIR --model DIR... [OPTIONS]
  --model DIR      bundle; the others are compared with the first
  --videos DIR     folder of videos (default: rendered clips with captions, which also measure retrieval)
  --count N        how many clips at most (default 32)
  --seed N         of the rendered clips (default 7)
  --threads N      engine threads (default: the embedder's own choice)`

const plainTexts = [
  'a red car turning left',
  'people walking on a street',
  'a dog',
  'somebody cooks a pancake',
]

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string', multiple: true, default: [] },
      videos: { type: 'string' },
      count: { type: 'string', default: '32' },
      seed: { type: 'string', default: '7' },
      threads: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || values.model.length < 2) return console.log(usage)
  const media = values.videos
    ? listed(values.videos, Number(values.count))
    : scenes({ ...values, format: 'mixed' })
  const texts = values.videos ? plainTexts : media.map(({ caption }) => caption)
  const onnxruntime = values.threads ? { intraOpThreads: Number(values.threads) } : {}
  const models = []
  try {
    for (const model of values.model) {
      const embedder = await createEmbedder({ model, device: 'cpu', onnxruntime })
      models.push({ model, embedder, clips: [], texts: [] })
    }
    const [{ embedder: first }] = models
    for (const { file } of media) {
      const { clip } = await first.frames(file, { images: false })
      const frames = pictures(clip, first.info().model)
      // The models take turns, so that other load on the machine affects all of them alike.
      for (const each of models) {
        each.clips.push(await timed(() => each.embedder.embedVideo({ frames })))
      }
    }
    for (const { embedder } of models) await embedder.embedText('the first is slower')
    for (const text of texts) {
      for (const each of models) {
        each.texts.push(await timed(() => each.embedder.embedText(text)))
      }
    }
    const rows = models.map((each) => row(each, models[0], values.videos === undefined))
    report('precision', rows, { clips: media.length, texts: texts.length })
  } finally {
    for (const { embedder } of models) await embedder.dispose()
  }
}

function row({ model, clips, texts }, first, hasCaptions) {
  const { id, files } = JSON.parse(readFileSync(path.join(model, 'model.json'), 'utf8'))
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0)
  const cosines = (mine, others) =>
    mine.map(({ embedding }, index) => similarity(embedding, others[index].embedding))
  const ofClips = cosines(clips, first.clips)
  const middle = (list, key) => median(list.map((each) => each[key]))
  const found = texts.filter(({ embedding }, index) => {
    const scores = clips.map((clip) => similarity(embedding, clip.embedding))
    return scores.indexOf(Math.max(...scores)) === index
  })
  return {
    model: id,
    MB: round(bytes / 1e6, 1),
    's/clip': round(middle(clips, 'wall') / 1e3, 4),
    'CPU s/clip': round(middle(clips, 'cpu') / 1e3, 4),
    'clips ×': round(middle(first.clips, 'cpu') / middle(clips, 'cpu'), 2),
    'ms/text': round(middle(texts, 'wall'), 2),
    'CPU ms/text': round(middle(texts, 'cpu'), 2),
    'texts ×': round(middle(first.texts, 'cpu') / middle(texts, 'cpu'), 2),
    'lowest cosine, clips': round(Math.min(...ofClips), 5),
    median: round(median(ofClips), 5),
    'lowest cosine, texts': round(Math.min(...cosines(texts, first.texts)), 5),
    ...(hasCaptions && { 'text→video R@1': round(found.length / texts.length, 3) }),
  }
}

/** Wall time and CPU time of this process in ms; other load on the machine hardly affects the latter. */
async function timed(call) {
  const cpu = process.cpuUsage()
  const began = performance.now()
  const { embedding } = await call()
  const wall = performance.now() - began
  const { user, system } = process.cpuUsage(cpu)
  return { embedding, wall, cpu: (user + system) / 1e3 }
}

function listed(folder, count) {
  return readdirSync(folder)
    .filter((name) => /\.(mp4|mov|mkv|webm|avi|mpg)$/.test(name))
    .sort()
    .slice(0, count)
    .map((name) => ({ file: path.join(folder, name) }))
}

/** Converts the planes of a clip to pictures, which need no further resize. */
function pictures(clip, { frames, height, width }) {
  const size = height * width
  return Array.from({ length: frames }, (_, time) => {
    const data = new Uint8Array(3 * size)
    for (let at = 0; at < size; at += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        data[3 * at + channel] = clip[(3 * time + channel) * size + at]
      }
    }
    return { data, width, height }
  })
}
