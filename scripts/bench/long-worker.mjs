// Embeds the segments of one long video, or many short clips, in a process of its own, and samples its memory.
//   node long-worker.mjs '{"file", "windowSeconds", "model"}'
//   node long-worker.mjs '{"count", "model"}'

import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { createEmbedder } from '../../dist/index.js'

const SAMPLES = 400
const folder = fileURLToPath(new URL('../../examples/clips', import.meta.url))

const { file, windowSeconds, count, model } = JSON.parse(process.argv[2])
const embedder = await createEmbedder({ model })
const samples = []
/** Processor milliseconds of this process when each item was done. */
const took = []
const resident = () => process.memoryUsage.rss() / 2 ** 20

const began = performance.now()
const before = process.cpuUsage()
const processorMs = () => {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
if (file) {
  for await (const { end } of embedder.segments(file, { windowSeconds })) {
    took.push(processorMs())
    samples.push([end, resident()])
  }
} else {
  const clips = readdirSync(folder).filter((name) => /\.(mp4|webm|mkv)$/.test(name))
  const every = Math.max(1, Math.floor(count / SAMPLES))
  let next = 0
  let done = 0
  const embedOne = async () => {
    for (let index = next++; index < count; index = next++) {
      await embedder.embedVideo(path.join(folder, clips[index % clips.length]))
      took.push(processorMs())
      if (++done % every === 0) samples.push([done, resident()])
    }
  }
  await Promise.all(Array.from({ length: 16 }, embedOne))
}
const seconds = (performance.now() - began) / 1000
const cpuSeconds = processorMs() / 1000
await embedder.dispose()

const gaps = took.map((time, index) => time - (took[index - 1] ?? 0))
const tenth = Math.max(1, Math.floor(gaps.length / 10))
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
console.log(
  JSON.stringify({
    seconds,
    cpuSeconds,
    done: took.length,
    early: mean(gaps.slice(0, tenth)),
    late: mean(gaps.slice(-tenth)),
    samples: thin(samples),
  }),
)

function thin(points) {
  const step = Math.max(1, Math.floor(points.length / SAMPLES))
  return points.filter((_, index) => index % step === 0 || index === points.length - 1)
}
