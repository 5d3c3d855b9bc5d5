// npm run bench index: `cosmos-embed index` against a loop written by hand in Python, with the same clips and model.
//
// Both are measured as commands, from their start to their end, in turns. First their results are compared: the frames that
// they chose and the vectors that they made of them.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { readRows } from '../../dist/bulk/parquet.js'
import { createEmbedder, similarity } from '../../dist/index.js'
import { benchClip } from './media.mjs'
import { runMeasured } from './process-tree.mjs'
import { pythonWith } from './python.mjs'
import { median, report, round } from './report.mjs'
import { scenes } from './scenes.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cores = availableParallelism()
const SCENES = 128

const usage = `npm run bench index -- [OPTIONS]
  --clips LIST     scenes: rendered clips of 1.5 to 4 s, each several times; 720p, 1080p: one clip of 10 s, H.264, GOP 30,
                   again and again (default scenes,720p)
  --count LIST     rows of the manifest, for each kind of clip (default 2048,64)
  --runs N         measurements of each program (default 3)
  --model DIR      bundle (default models/demo)
The first use makes a Python environment with the packages of scripts/bench/peers/index-requirements.txt.`

const programs = ['cosmos-embed index', 'Python, every frame', 'Python, seeking']

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      clips: { type: 'string', default: 'scenes,720p' },
      count: { type: 'string', default: '2048,64' },
      runs: { type: 'string', default: '3' },
      model: { type: 'string', default: path.join(root, 'models', 'demo') },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const counts = values.count.split(',').map(Number)
  const python = pythonWith('peers/index-requirements.txt')
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-bench-index-'))
  try {
    const rows = []
    for (const [place, kind] of values.clips.split(',').entries()) {
      const job = { kind, count: counts[place] ?? counts.at(-1), model: path.resolve(values.model), folder }
      rows.push(...(await compare(python, job, Number(values.runs))))
    }
    report('index', rows)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(python, { kind, count, model, folder }, runs) {
  const manifest = path.join(folder, `${kind}.jsonl`)
  const files = filesOf(kind, count)
  const lines = Array.from({ length: count }, (_, n) =>
    JSON.stringify({ id: `clip-${n}`, video: files[n % files.length] }),
  )
  writeFileSync(manifest, `${lines.join('\n')}\n`)

  const samples = programs.map(() => [])
  const outputs = programs.map((_, place) => path.join(folder, `${kind}-${place}.parquet`))
  for (let turn = 0; turn < runs; turn += 1) {
    for (const [place, out] of outputs.entries()) {
      rmSync(out, { recursive: true, force: true })
      const job = { manifest, model, out, frames: place === 1 ? 'all' : 'seek', processes: cores }
      const [command, args] =
        place === 0
          ? [process.execPath, ['dist/cli/bin.js', 'index', manifest, '--out', out, '--model', model]]
          : [python, ['scripts/bench/peers/index.py', JSON.stringify(job)]]
      samples[place].push(await runMeasured(command, args, { cwd: root }))
    }
  }
  const results = await Promise.all(outputs.map(vectorsOf))
  const frames = await framesOf(model, files)
  return programs.map((program, place) => {
    const rate = ({ seconds }) => count / seconds
    const processor = ({ cpuSeconds }) => 1000 * cpuSeconds
    const ratios = samples[0].map((sample, turn) => rate(sample) / rate(samples[place][turn]))
    return {
      clip: `${count} × ${kind}`,
      program,
      'clips/s': round(median(samples[place].map(rate))),
      'ours ÷ it': round(median(ratios)),
      'CPU ms/clip': round(median(samples[place].map(processor)) / count, 1),
      'CPU, it ÷ ours': round(
        median(samples[0].map((sample, turn) => processor(samples[place][turn]) / processor(sample))),
      ),
      'peak MiB': Math.round(Math.max(...samples[place].map(({ peakMiB }) => peakMiB))),
      ...(place === 0
        ? { 'other frames': '', 'cosine, median': '', lowest: '' }
        : differences(results[0], results[place], frames)),
    }
  })
}

function filesOf(kind, count) {
  if (kind === 'scenes') return scenes({ count: Math.min(count, SCENES), seed: 7 }).map(({ file }) => file)
  return [benchClip({ codec: 'h264', size: kind, gop: 30, seconds: 10 })]
}

/** By id: the vector, and the frames if the program noted them. */
async function vectorsOf(out) {
  const parts = out.endsWith('-0.parquet')
    ? readdirSync(out)
        .filter((name) => name.endsWith('.parquet'))
        .map((name) => path.join(out, name))
    : [out]
  const found = new Map()
  for (const part of parts) for await (const row of readRows(part)) found.set(row.id, row)
  return found
}

/** By file: the indices of the frames that cosmos-embed chooses. */
async function framesOf(model, files) {
  const embedder = await createEmbedder({ model, device: 'cpu' })
  try {
    const chosen = new Map()
    for (const file of files) {
      const { frames } = await embedder.frames(file, { images: false })
      chosen.set(file, frames.map(({ index }) => index).join())
    }
    return chosen
  } finally {
    await embedder.dispose()
  }
}

function differences(ours, theirs, frames) {
  if (ours.size !== theirs.size) throw new Error(`${ours.size} vectors against ${theirs.size}`)
  const cosines = [...ours].map(([id, { embedding }]) =>
    similarity(Float32Array.from(embedding), Float32Array.from(theirs.get(id).embedding)),
  )
  const others = [...theirs.values()].filter(({ uri, frames: own }) => frames.get(uri) !== own.join())
  return {
    'other frames': others.length,
    'cosine, median': round(median(cosines), 5),
    lowest: round(Math.min(...cosines), 5),
  }
}
