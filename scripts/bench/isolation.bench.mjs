// npm run bench isolation: what decoding in processes of its own costs, against decoding in this one, in turns.

import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import binding from '../../lib/binding.js'
import { benchClip } from './media.mjs'
import { rollupOf } from './process-tree.mjs'
import { median, report, round } from './report.mjs'

const usage = `npm run bench isolation -- [OPTIONS]
  --clips N   clips of one measurement with every core busy (default 8)
  --runs N    measurements of each (default 5)`

const shape = { frames: 8, height: 224, width: 224 }
const cores = availableParallelism()

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      clips: { type: 'string', default: '8' },
      runs: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const [clips, runs] = [Number(values.clips), Number(values.runs)]
  const decoders = await binding.openDecoderPool({ maxBytes: 2 ** 31, idle: cores }).promise
  const ways = { 'in process': {}, isolated: { decoders } }

  const large = benchClip({ codec: 'h264', size: '1080p', gop: 30, seconds: 15 })
  const small = {
    bytes: new Uint8Array(readFileSync(new URL('../../examples/clips/cyan-cross.mp4', import.meta.url))),
  }
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, { busy: [], one: [] }]))
  for (let n = 0; n <= runs; n += 1) {
    for (const [way, extra] of Object.entries(ways)) {
      const busy = await busySeconds({ path: large }, clips, extra)
      const one = await onesMs(small, 50, extra)
      if (n === 0) continue // warms the caches and starts the processes
      times[way].busy.push(busy)
      times[way].one.push(median(one))
    }
  }
  const rows = Object.entries(times).map(([way, { busy, one }]) => ({
    decoder: way,
    'clips/s, every core busy': round(clips / median(busy), 2),
    'one small clip, p50 ms': round(median(one), 2),
  }))
  report('isolation', rows, { walls: decoders.walls })
  const ratio = median(times.isolated.busy.map((seconds, i) => times['in process'].busy[i] / seconds))
  const added = median(times.isolated.one.map((ms, i) => ms - times['in process'].one[i]))
  console.log(`throughput isolated: ${round(100 * ratio, 1)} % of in process (median of ${runs} pairs)`)
  console.log(`added to the p50 of one small clip: ${round(added, 2)} ms`)
  console.log(`memory of a process: ${memories().join(', ')} (private, of those that have decoded 1080p)`)
  decoders.close()
}

async function busySeconds(source, clips, extra) {
  const began = performance.now()
  let next = 0
  const lane = async () => {
    while (next < clips) {
      next += 1
      const { clip } = await binding.decodeClip(source, { ...shape, ...extra }).promise
      clip.release()
    }
  }
  await Promise.all(Array.from({ length: cores }, lane))
  return (performance.now() - began) / 1000
}

async function onesMs(source, count, extra) {
  const times = []
  for (let i = 0; i < count; i += 1) {
    const began = performance.now()
    const { clip } = await binding.decodeClip(source, { ...shape, ...extra }).promise
    times.push(performance.now() - began)
    clip.release()
  }
  return times
}

/** Private memory of this process's children in MB. */
function memories() {
  // Each thread of the pool lists the processes that it has started.
  const children = readdirSync('/proc/self/task').flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8').trim().split(' '),
  )
  return children.filter(Boolean).map((pid) => {
    const { Private_Clean: clean, Private_Dirty: dirty } = rollupOf(pid)
    const kilobytes = clean + dirty
    return `${round(kilobytes / 1024, 1)} MB`
  })
}
