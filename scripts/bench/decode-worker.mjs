// Takes one measurement of the addon's decoder in its own process, so that the peak memory is that of this decoder alone.
//   node decode-worker.mjs '{"file", "clips", "concurrency", "threads", "tolerance", "keep"}'

import { writeFileSync } from 'node:fs'
import process from 'node:process'

import binding from '../../lib/binding.js'

const { file, clips, concurrency, threads, tolerance = 0, keep } = JSON.parse(process.argv[2])
const options = { frames: 8, height: 224, width: 224, threads, frameTolerance: tolerance }

const first = await binding.decodeClip({ path: file }, options).promise
if (keep) writeFileSync(keep, first.clip.toBytes())
first.clip.release()

let left = clips
const began = performance.now()
const usedBefore = process.cpuUsage()
await Promise.all(
  Array.from({ length: concurrency }, async () => {
    while (left-- > 0) {
      const { clip } = await binding.decodeClip({ path: file }, options).promise
      clip.release()
    }
  }),
)
const seconds = (performance.now() - began) / 1000
const used = process.cpuUsage(usedBefore)
const cpuSeconds = (used.user + used.system) / 1e6 / clips
const { decoded, discarded, seeks } = first.report
const rss = process.resourceUsage().maxRSS / 1024
console.log(
  JSON.stringify({ clipsPerSecond: clips / seconds, cpuSeconds, decoded, discarded, seeks, rssMiB: rss }),
)
