// npm run simulate-gpu: a queueing model of the path from videos to vectors on a GPU. Its constants were measured on an H100
// (scripts/simulate/machines.mjs); --check compares its results with that GPU's throughput for the whole path.
//
//   node scripts/simulate-gpu.mjs [options]    one row: clips/s, latency, the bottleneck
//   node scripts/simulate-gpu.mjs --questions  which GOP and tolerance reach 100 clips/s; the effect of CPU workers and batches
//   node scripts/simulate-gpu.mjs --check
//
//   --gop N --tolerance SECONDS --seconds N --fps N    of the videos; 30, 0, 15, 30
//   --callers N | --rate PER_SECOND                    64 callers
//   --cpu-workers N --max-batch N --engines N --clips-per-engine N --encode-clip-ms N    of the machine; 0, 16, 7, 2, 10.6
//   --clips N --seed N                                 how many are simulated; 2000, 1

import process from 'node:process'
import { parseArgs } from 'node:util'
import { randomFrom } from './random.mjs'
import { h100, measured, measuredAlone } from './simulate/machines.mjs'
import { picturesOfClip } from './simulate/pictures.mjs'
import { simulate } from './simulate/pipeline.mjs'

const numbers = {
  gop: 30,
  tolerance: 0,
  seconds: 15,
  fps: 30,
  callers: 64,
  'cpu-workers': 0,
  'max-batch': 16,
  engines: h100.engines,
  'clips-per-engine': h100.clipsPerEngine,
  'encode-clip-ms': h100.encodeClipMs,
  clips: 2000,
  seed: 1,
}
const { values } = parseArgs({
  options: {
    ...Object.fromEntries(Object.keys(numbers).map((name) => [name, { type: 'string' }])),
    rate: { type: 'string' },
    questions: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
})
const given = Object.fromEntries(
  [...Object.keys(numbers), 'rate']
    .map((name) => [name, name in values ? number(name, values[name]) : numbers[name]])
    .filter(([, value]) => value !== undefined),
)

if (values.check) check()
else if (values.questions) questions()
else console.table([row({})])

/** Runs one simulation of the machine and load on the command line, with `changes`. */
function result(changes) {
  const wanted = { ...given, ...changes }
  const machine = {
    ...h100,
    engines: wanted.engines,
    clipsPerEngine: wanted['clips-per-engine'],
    cpuWorkers: wanted['cpu-workers'],
    maxBatch: wanted['max-batch'],
    encodeClipMs: wanted['encode-clip-ms'],
  }
  const clip = picturesOfClip(wanted)
  const load =
    wanted.rate === undefined
      ? { callers: wanted.callers, clips: wanted.clips }
      : { rate: wanted.rate, clips: wanted.clips }
  return { clip, ...simulate(machine, clip, load, randomFrom(wanted.seed)) }
}

function row(changes) {
  const { clip, perSecond, p50, p99, meanBatch, nvdecBusy, encoderBusy, cpuShare } = result(changes)
  const busiest = Math.max(nvdecBusy, encoderBusy)
  return {
    ...changes,
    'decoded + skipped': `${clip.decoded} + ${clip.skipped}`,
    'clips/s': round(perSecond, 1),
    'p50 ms': round(p50),
    'p99 ms': round(p99),
    'mean batch': round(meanBatch, 1),
    'NVDEC busy': percent(nvdecBusy),
    'encoder busy': percent(encoderBusy),
    'by the CPU': percent(cpuShare),
    bottleneck: busiest < 0.9 ? 'places and callers' : nvdecBusy > encoderBusy ? 'NVDEC' : 'encoder',
  }
}

function questions() {
  console.log('Which GOP and tolerance reach 100 clips/s?')
  const tolerances = [0, 0.25, 0.5, 1]
  console.table(
    [12, 30, 60, 120, 250].flatMap((gop) => tolerances.map((tolerance) => row({ gop, tolerance }))),
  )
  console.log('How many CPU workers help?')
  console.table(
    [30, 250].flatMap((gop) => [0, 4, 8, 16, 32].map((workers) => row({ gop, 'cpu-workers': workers }))),
  )
  console.log(
    'Which maxBatch costs latency? At 70 % of what the encoder can do, with a tolerance of half a second:',
  )
  const rate = (0.7 * 1000) / h100.encodeClipMs
  console.table(
    [1, 2, 4, 8, 16, 32].map((batch) => row({ tolerance: 0.5, rate: round(rate), 'max-batch': batch })),
  )
}

/** Fails when the model is off by more than a tenth from the measured throughput. */
function check() {
  const rows = measured.map(({ gop, tolerance, perSecond }) => {
    const model = result({ gop, tolerance, 'clips-per-engine': 1 }).perSecond
    return {
      gop,
      tolerance,
      measured: perSecond,
      model: round(model, 1),
      off: percent(model / perSecond - 1),
    }
  })
  console.log('the whole path, clips/s')
  console.table(rows)
  console.log('decoding of one caller, ms')
  const free = { callers: 1, clips: 50, 'encode-clip-ms': 0 }
  console.table(
    measuredAlone.map(({ gop, one, all }) => ({
      gop,
      'one engine, measured': one,
      'one engine': round(result({ ...free, gop, engines: 1, 'clips-per-engine': 1 }).p50),
      'all engines, measured': all,
      'all engines': round(result({ ...free, gop }).p50),
    })),
  )
  if (rows.some(({ measured: card, model }) => Math.abs(model / card - 1) > 0.1)) process.exitCode = 1
}

function number(name, text) {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value
  console.error(`--${name} is ${text}; it must be a number from 0 on`)
  process.exit(2)
}

function percent(share) {
  return `${round(share * 100)} %`
}

function round(value, digits = 0) {
  return Number(value.toFixed(digits))
}
