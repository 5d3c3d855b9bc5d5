// What an index of many clips takes, from your own numbers: machines, hours, network, storage, memory of Redis, money.
//
//   npm run scale                                        2 million and 1 billion clips with the numbers of docs/scale.md
//   npm run scale -- --clips 5e6 --seconds 10 --mbit 5   your clips
//   npm run scale -- --cores 256 --gpus 16               your machines
//   npm run scale -- --measure                           bytes of a row and of a job, measured here

import { availableParallelism, cpus } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { estimate, sizesOf } from './scale/formulas.mjs'

// docs/scale.md says where each number comes from.
const numbers = {
  seconds: ['15', 'length of a clip, seconds'],
  mbit: ['11', 'bit rate of a clip, Mbit/s'],
  'row-bytes': ['1040', 'bytes of a row in the index'],
  'job-items': ['256', 'items per job'],
  'job-bytes': ['33800', 'bytes of a job in Redis'],
  'max-jobs': ['10000', 'jobs that wait in Redis at one time'],
  'core-decode': ['1.2', 'clips that a core decodes per second'],
  'core-decode-tolerant': ['2.54', 'the same with a frame tolerance of 0.5 s'],
  'core-encode': ['0.0290', 'clips that a core encodes per second, fp32'],
  'core-encode-int8': ['0.0973', 'the same in int8'],
  'gpu-decode': ['76.8', 'clips that a GPU decodes per second'],
  'gpu-decode-tolerant': ['153', 'the same with a frame tolerance of 0.5 s'],
  'gpu-encode': ['93.6', 'clips that a GPU encodes per second'],
  'gpu-overlap': ['0.97', 'share of the slower stage that the whole path reaches on a GPU'],
  'core-price': ['0.04', 'money for a core and hour'],
  'gpu-price': ['3', 'money for a GPU and hour, with its share of a machine'],
  'gb-price': ['0.02', 'money for a GB in the index and month'],
  cores: ['1024', 'cores at hand'],
  gpus: ['8', 'GPUs at hand'],
  'network-gbit': ['100', 'what the source of the videos delivers, Gbit/s'],
}

const { values } = parseArgs({
  options: {
    clips: { type: 'string', multiple: true },
    measure: { type: 'boolean' },
    help: { type: 'boolean' },
    ...Object.fromEntries(Object.keys(numbers).map((name) => [name, { type: 'string' }])),
  },
})
const value = (name) => positive(name, values[name] ?? numbers[name][0])

if (values.help) {
  console.log('npm run scale -- [--clips N]… [--measure] and, with their defaults:')
  for (const [name, [initial, meaning]] of Object.entries(numbers)) {
    console.log(`  ${`--${name} ${initial}`.padEnd(28)} ${meaning}`)
  }
} else if (values.measure) await printMeasured()
else for (const clips of values.clips ?? ['2e6', '1e9']) print(positive('clips', clips))

function print(clips) {
  const load = {
    clips,
    seconds: value('seconds'),
    mbit: value('mbit'),
    rowBytes: value('row-bytes'),
    jobItems: value('job-items'),
    jobBytes: value('job-bytes'),
    maxJobs: value('max-jobs'),
  }
  const core = { together: true, overlap: 1, price: value('core-price') }
  const gpu = {
    together: false,
    overlap: value('gpu-overlap'),
    encode: value('gpu-encode'),
    price: value('gpu-price'),
  }
  const [decode, tolerant] = [value('core-decode'), value('core-decode-tolerant')]
  const [fp32, int8] = [value('core-encode'), value('core-encode-int8')]
  /** @type {[string, Omit<import('./scale/formulas.mjs').Unit, 'name'>, number][]} */
  const rows = [
    ['cores, fp32', { ...core, decode, encode: fp32 }, value('cores')],
    ['cores, int8', { ...core, decode, encode: int8 }, value('cores')],
    ['cores, int8, tolerance 0.5 s', { ...core, decode: tolerant, encode: int8 }, value('cores')],
    ['GPUs', { ...gpu, decode: value('gpu-decode') }, value('gpus')],
    ['GPUs, tolerance 0.5 s', { ...gpu, decode: value('gpu-decode-tolerant') }, value('gpus')],
  ]
  console.log(`\n### ${clips.toLocaleString('en-US')} clips\n`)
  console.log('| on | clips/s of one | limited by | how many | takes | their hours | reads, Gbit/s | money |')
  console.log('|---|---|---|---|---|---|---|---|')
  for (const [name, unit, units] of rows) {
    const found = estimate(load, { name, ...unit }, { units, networkGbit: value('network-gbit') })
    const limit = found.networkBound ? 'network' : found.bottleneck
    console.log(
      `| ${name} | ${digits(found.rate)} | ${limit} | ${units} | ${duration(found.hours)} | ${whole(found.unitHours)} | ${digits(found.networkGbit)} | ${whole(found.cost)} |`,
    )
  }
  const { sourceBytes, indexBytes, jobs, redisBytes, producerBytes } = sizesOf(load)
  console.log('\n| what | how much |')
  console.log('|---|---|')
  console.log(`| videos to read | ${size(sourceBytes)} |`)
  console.log(
    `| index | ${size(indexBytes)}, ${whole((indexBytes / 1e9) * value('gb-price'))} of money a month |`,
  )
  console.log(`| jobs | ${whole(jobs)} |`)
  console.log(`| memory of Redis | ${size(redisBytes)} |`)
  console.log(`| memory of the producer, for the ids | ${size(producerBytes)} |`)
}

async function printMeasured() {
  const { measureJob, measureRow } = await import('./scale/measure.mjs')
  const items = value('job-items')
  console.log(`${availableParallelism()} cores of ${cpus()[0]?.model}, Node ${process.versions.node}`)
  console.log(`row in a Parquet part of 10,000: ${whole(await measureRow(10_000))} bytes`)
  console.log(`row in a Parquet part of ${items}: ${whole(await measureRow(items))} bytes`)
  const job = await measureJob(items, 400)
  if (!job) console.log('job: not measured, there is no redis-server')
  else {
    console.log(
      `job of ${items} items in Redis: ${whole(job.bytes)} bytes, ${whole(job.bytes / items)} per item`,
    )
    console.log(`one producer: ${whole(job.perSecond)} jobs/s, ${whole(job.perSecond * items)} items/s`)
  }
}

function positive(name, text) {
  const number = Number(text)
  if (Number.isFinite(number) && number > 0) return number
  console.error(`--${name}: expected a number above 0, found "${text}"`)
  process.exit(2)
}

function digits(number) {
  return Number(number.toPrecision(3)).toString()
}

function whole(number) {
  return Math.round(number).toLocaleString('en-US')
}

function duration(hours) {
  if (hours < 48) return `${digits(hours)} h`
  return hours < 24 * 730 ? `${digits(hours / 24)} days` : `${digits(hours / 8766)} years`
}

function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return `${digits(bytes / 1000 ** power)} ${units[power]}`
}
