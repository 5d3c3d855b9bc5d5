// Compares forms of attention on a GPU: the same random weights as several graphs, an engine of each, its speed and vectors.
//
//   node scripts/gpu/variants.mjs [OPTIONS]
//
// Needs TensorRT with its Python package, and a python3 that also has PyTorch and the exporter's packages.

import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import binding from '../../lib/binding.js'
import { report, round } from '../bench/report.mjs'

const usage = `node scripts/gpu/variants.mjs [OPTIONS]
  --variants LIST      (default: plain,half-softmax,heads-96,heads-112,heads-128; see scripts/gpu/standin.py)
  --depth N            blocks of the vision tower, of the 39 of Cosmos-Embed1 (default: 4)
  --qformer-depth N    layers of the Q-Former, of 12 (default: 2)
  --precision NAME     bf16, fp16 or fp32 (default: bf16)
  --size NAME          full, or tiny for a trial (default: full)
  --batch N            clips a batch (default: 16)
  --budget SECONDS     ends after this time with what there is by then (default: 600)
  --layers             print the slowest layers of each engine too
  --python FILE        interpreter with the packages (default: COSMOS_EMBED_PYTHON, or python3)
  --trtexec FILE       builds the engines (default: as cosmos-embed build-engine chooses)
  --out DIR            keep the bundles and engines here (default: a temporary folder)`

const { values } = parseArgs({
  options: {
    variants: { type: 'string', default: 'plain,half-softmax,heads-96,heads-112,heads-128' },
    depth: { type: 'string', default: '4' },
    'qformer-depth': { type: 'string', default: '2' },
    precision: { type: 'string', default: 'bf16' },
    size: { type: 'string', default: 'full' },
    batch: { type: 'string', default: '16' },
    budget: { type: 'string', default: '600' },
    layers: { type: 'boolean', default: false },
    python: { type: 'string', default: process.env.COSMOS_EMBED_PYTHON ?? 'python3' },
    trtexec: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const grace = 5 // seconds that a child has to end by itself
const root = fileURLToPath(new URL('../..', import.meta.url))
const cli = path.join(root, 'dist', 'cli', 'bin.js')
const ends = performance.now() + 1000 * Number(values.budget)

/** By the budget, or by a person. */
class Stopped extends Error {}

if (values.help) console.log(usage)
else await compare()

async function compare() {
  const { COSMOS_EMBED_CUDA: cuda, COSMOS_EMBED_NVCUVID: nvcuvid } = process.env
  let gpu
  try {
    const probe = await binding.probeGpu({ ...(cuda && { cuda }), ...(nvcuvid && { nvcuvid }) }).promise
    gpu = probe.devices[0]?.name
  } catch (error) {
    console.log(`skipped: ${error.message}`)
    return
  }
  const folder = values.out ? path.resolve(values.out) : mkdtempSync(path.join(tmpdir(), 'gpu-variants-'))
  mkdirSync(folder, { recursive: true })
  const rows = []
  try {
    await makeStandins(folder)
    let timings
    for (const name of values.variants.split(',')) {
      const row = { variant: name }
      rows.push(row)
      await measure(row, path.join(folder, name), timings)
      timings = path.join(folder, name, 'engines')
    }
  } catch (error) {
    if (!(error instanceof Stopped)) throw error
    console.log(`stopped ${error.message}`)
  } finally {
    if (!values.out) rmSync(folder, { recursive: true, force: true })
    if (rows.length > 0) {
      console.log(
        `\n${gpu}: batches of ${values.batch}, ${values.depth} of the vision tower's blocks, ${values.precision}`,
      )
      const { depth, 'qformer-depth': qformerDepth, precision, size, batch } = values
      report('gpu-variants', rows.map(complete), { gpu, depth, qformerDepth, precision, size, batch })
    }
  }
}

async function makeStandins(folder) {
  const options = ['variants', 'depth', 'qformer-depth', 'precision', 'size'].flatMap((name) => [
    `--${name}`,
    values[name],
  ])
  const script = path.join(root, 'scripts', 'gpu', 'standin.py')
  const { code, lines } = await run(
    values.python,
    [script, '--out', folder, ...options],
    'making the stand-ins',
  )
  if (code !== 0) throw new Error(`the stand-ins could not be made: ${lines.at(-1)}`)
}

/** Fills in what could be measured, step by step, so that there is something to print when time is up. */
async function measure(row, model, timings) {
  const began = performance.now()
  // What TensorRT timed for one variant it need not time again for the next.
  const caches = timings && existsSync(timings) ? readdirSync(timings) : []
  for (const name of caches.filter((each) => each.endsWith('.cache')))
    cpSync(path.join(timings, name), path.join(model, 'engines', name))
  const built = await cosmosEmbed(row.variant, [
    ...['build-engine', '--model', model, '--max-batch', values.batch],
    ...(values.trtexec ? ['--trtexec', values.trtexec] : []),
  ])
  row.build = Math.round((performance.now() - began) / 1000)
  if (built.code !== 0) {
    row.note = `no engine: ${built.lines.at(-1).slice(0, 200)}`
    return
  }
  const plan = readdirSync(path.join(model, 'engines')).find((name) => /video.*\.plan$/.test(name))
  const script = path.join(root, 'scripts', 'gpu', 'layers.py')
  const timed = await run(
    values.python,
    [script, path.join(model, 'engines', plan), values.batch, '--json'],
    `${row.variant}: timing`,
  )
  if (timed.code === 0) {
    const found = JSON.parse(timed.output.trim().split('\n').at(-1))
    row.milliseconds = round(found.milliseconds, 2)
    row.attention = `${round(100 * found.attentionShare, 1)} %`
    if (values.layers) printLayers(row.variant, found.layers)
  } else {
    row.note = `not timed: ${timed.lines.at(-1).slice(0, 200)}`
  }
  const verified = await cosmosEmbed(row.variant, ['verify', '--model', model, '--device', 'cuda', '--json'])
  for (const { check, found } of checksIn(verified.output)) {
    const tower = /: (video|text)$/.exec(check)?.[1]
    const cosine = /lowest cosine .* (-?[\d.]+), required/.exec(found)?.[1]
    if (tower && cosine) row[tower] = Number(cosine)
  }
  if (verified.code !== 0) row.note = [row.note, 'verify failed'].filter(Boolean).join('; ')
  console.log(JSON.stringify(row))
}

function checksIn(output) {
  try {
    return JSON.parse(output).checks
  } catch {
    return [] // it ended before it printed any
  }
}

function complete({ variant, build, milliseconds, attention, video, text, note }) {
  return {
    variant,
    'ms a batch': milliseconds ?? '',
    attention: attention ?? '',
    'cosine, video': video ?? '',
    'cosine, text': text ?? '',
    'build, s': build ?? '',
    note: note ?? '',
  }
}

function printLayers(variant, layers) {
  console.log(`\nlayers of ${variant}:`)
  for (const { name, milliseconds, count } of layers.slice(0, 20))
    console.log(
      `${milliseconds.toFixed(3).padStart(9)} ms x${String(count).padStart(3)}  ${name.slice(0, 150)}`,
    )
}

function cosmosEmbed(variant, args) {
  return run(process.execPath, [cli, ...args], `${variant}: ${args[0]}`)
}

/**
 * Runs a program until it ends, or ends it when the time of all is up.
 * @returns {Promise<{ code: number | null, output: string, lines: string[] }>} `lines`: of both streams
 */
function run(program, args, what) {
  const left = ends - performance.now()
  if (left <= 0) throw new Stopped(`before ${what}`)
  console.log(`[${Math.round(left / 1000)} s left] ${what}`)
  return new Promise((resolve, reject) => {
    // In a process group of its own, since a builder's processes must end with it.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const output = []
    const all = []
    child.stdout.on('data', (bytes) => output.push(bytes) && all.push(bytes))
    child.stderr.on('data', (bytes) => all.push(bytes))
    let isStopped = false
    const stopIt = () => {
      isStopped = true
      stop(child)
    }
    const timer = setTimeout(stopIt, left)
    process.once('SIGINT', stopIt)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('SIGINT', stopIt)
      if (isStopped) return reject(new Stopped(`while ${what}`))
      const lines = Buffer.concat(all).toString().trim().split('\n')
      if (code !== 0) console.log(lines.slice(-12).join('\n'))
      if (signal) lines.push(`ended by ${signal}`)
      resolve({ code, output: Buffer.concat(output).toString(), lines })
    })
  })
}

/** @param {import('node:child_process').ChildProcess} child */
function stop(child) {
  const send = (signal) => {
    try {
      process.kill(-child.pid, signal)
    } catch {
      // All have ended.
    }
  }
  send('SIGTERM')
  setTimeout(send, 1000 * grace, 'SIGKILL').unref()
}
