// npm run bench path: the whole path, from files to vectors, beside programs that one writes by hand in Python: torchcodec or
// PyAV with Pillow, ONNX Runtime, a process per core. The same files, the same model, the same frames.
//
// First every program embeds each different file once, and the benchmark ends without a measurement where frames or
// vectors differ. Then they take turns. Time, processor seconds and memory are those of whole programs with their start
// and all of their processes.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { similarity } from '../../dist/index.js'
import { mixedFiles } from './path-media.mjs'
import { compareServers } from './path-serve.mjs'
import { runMeasured } from './process-tree.mjs'
import { pythonWith } from './python.mjs'
import { median, report, round } from './report.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))
const cores = availableParallelism()
const requirements = 'peers/path-requirements.txt'
/** Decoders agree on pictures; how pictures are converted and resized differs a little from program to program. */
const LOWEST_COSINE = 0.99

const usage = `npm run bench path -- [OPTIONS]
  --files N        files that are embedded (default 1000)
  --different N    of them, this many are different; the rest repeats them (default 48)
  --runs N         measurements of each program (default 1)
  --model DIR      bundle (default models/demo)
  --peers LIST     of torchcodec, all (PyAV, every frame), seek (PyAV, from the keyframe before); default torchcodec,all
  --requests N     requests to each server and for each number of connections; 0 leaves the servers out (default 200)
The first use generates the files with ffmpeg, which takes minutes, and makes a Python environment with the packages of
scripts/bench/peers/path-requirements.txt (6 GB: PyTorch brings CUDA along).`

const peerNames = {
  torchcodec: 'Python: torchcodec, PyTorch',
  all: 'Python: PyAV, Pillow',
  seek: 'Python: PyAV, Pillow, seeking',
}

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      files: { type: 'string', default: '1000' },
      different: { type: 'string', default: '48' },
      runs: { type: 'string', default: '1' },
      model: { type: 'string', default: path.join(root, 'models', 'demo') },
      peers: { type: 'string', default: 'torchcodec,all' },
      requests: { type: 'string', default: '200' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const count = Number(values.files)
  const model = path.resolve(values.model)
  const readers = values.peers.split(',')
  const python = pythonWith(requirements)
  const versions = Object.fromEntries(
    [...readFileSync(path.join(here, requirements), 'utf8').matchAll(/^([\w-]+).*==(.+)$/gm)].map(
      ([, ...pair]) => pair,
    ),
  )
  const media = mixedFiles(Math.min(count, Number(values.different)))
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-bench-path-'))
  try {
    const programs = [
      ...['embedMany', 'embedStream'].map((method) => ours(method, { model, folder })),
      ...readers.map((reader) => theirs(reader, { model, folder, python })),
    ]
    const different = media.map(({ file }) => file)
    const agreements = await compareVectors(programs, different, folder)
    const all = Array.from({ length: count }, (_, index) => different[index % different.length])
    report('path', await measure(programs, { files: all, runs: Number(values.runs), folder, agreements }), {
      model: path.basename(model),
      versions,
      files: media.map(({ file, ...rest }) => ({ name: path.basename(file), ...rest })),
    })
    const requests = Number(values.requests)
    if (requests > 0) {
      const job = { python, model, reader: readers[0], requests, media }
      report('path-serve', await compareServers(job), { versions })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function ours(method, job) {
  const script = path.join(here, 'path-worker.mjs')
  const out = path.join(job.folder, `${method}.json`)
  const command = (list) => [process.execPath, [script, JSON.stringify({ ...job, list, out, method })]]
  return { name: `cosmos-embed, ${method}`, out, command }
}

function theirs(reader, { python, ...job }) {
  const script = path.join(here, 'peers', 'path.py')
  const out = path.join(job.folder, `${reader}.json`)
  const options = (list) => JSON.stringify({ ...job, list, out, reader, processes: cores })
  return { name: peerNames[reader], out, command: (list) => [python, [script, options(list)]] }
}

async function execute({ command, out }, files, folder) {
  const list = path.join(folder, 'files.json')
  writeFileSync(list, JSON.stringify(files))
  const measured = await runMeasured(...command(list), { cwd: root })
  return { ...measured, results: JSON.parse(readFileSync(out, 'utf8')) }
}

/** @returns how near each program's vectors are to the first one's. Throws where they are not of the same frames, or far off. */
async function compareVectors(programs, files, folder) {
  const results = []
  for (const program of programs) results.push((await execute(program, files, folder)).results)
  return programs.map(({ name }, place) => {
    const cosines = files.map((file, index) => {
      const [mine, other] = [results[0][index], results[place][index]]
      const cosine = similarity(Float32Array.from(mine.vector), Float32Array.from(other.vector))
      if (mine.frames.join() !== other.frames.join())
        throw new Error(`${name} took frames ${other.frames} of ${file} instead of ${mine.frames}`)
      if (!(cosine >= LOWEST_COSINE))
        throw new Error(
          `the vector of ${name} for ${file} has a cosine of ${cosine}, expected ${LOWEST_COSINE}`,
        )
      return cosine
    })
    return { median: median(cosines), lowest: Math.min(...cosines) }
  })
}

async function measure(programs, { files, runs, folder, agreements }) {
  const samples = programs.map(() => [])
  for (let turn = 0; turn < runs; turn += 1) {
    for (const [place, program] of programs.entries()) {
      const { results, ...sample } = await execute(program, files, folder)
      if (results.length !== files.length) throw new Error(`${program.name} made ${results.length} vectors`)
      samples[place].push(sample)
    }
  }
  const ratio = (place, value) =>
    round(median(samples[0].map((own, turn) => value(samples[place][turn]) / value(own))))
  return programs.map(({ name }, place) => ({
    program: name,
    'clips/s': round(files.length / median(samples[place].map(({ seconds }) => seconds))),
    'ours ÷ it': ratio(place, ({ seconds }) => seconds),
    'CPU ms/clip': round((1000 * median(samples[place].map((one) => one.cpuSeconds))) / files.length, 1),
    'CPU, it ÷ ours': ratio(place, ({ cpuSeconds }) => cpuSeconds),
    'peak MiB': Math.round(Math.max(...samples[place].map(({ peakMiB }) => peakMiB))),
    'memory, it ÷ ours': ratio(place, ({ peakMiB }) => peakMiB),
    'cosine, median': round(agreements[place].median, 5),
    lowest: round(agreements[place].lowest, 5),
  }))
}
