// npm run bench embed: measures the whole path in one process, and the delay of its event loop.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { createEmbedder } from '../../dist/index.js'
import { benchClip } from './media.mjs'
import { percentile, report, round } from './report.mjs'

const usage = `npm run bench embed -- [OPTIONS]
  --model DIR      bundle (default: the embedded demo model)
  --seconds N      how long each load runs (default 8)
  --size SIZE      of the video, 720p or 1080p (default 720p)
  --gop N          keyframe distance (default 30)
  --threads N      engine threads (default: the embedder's own choice)
  --tolerance S    frame tolerance (default 0)`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string' },
      seconds: { type: 'string', default: '8' },
      size: { type: 'string', default: '720p' },
      gop: { type: 'string', default: '30' },
      threads: { type: 'string' },
      tolerance: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const seconds = Number(values.seconds)
  const file = benchClip({ codec: 'h264', size: values.size, gop: Number(values.gop), seconds: 10 })
  const embedder = await createEmbedder({
    ...(values.model && { model: values.model }),
    ...(values.threads && { onnxruntime: { intraOpThreads: Number(values.threads) } }),
  })
  const video = () =>
    embedder.embedVideo(file, { frameTolerance: Number(values.tolerance), priority: 'bulk' })
  let serial = 0
  const text = () => {
    serial += 1
    return embedder.embedText(`a blue square number ${serial} that moves to the left of the picture`)
  }

  try {
    const rows = []
    for (const load of [
      { load: 'text alone', callers: [[1, text]] },
      { load: 'text × 64', callers: [[64, text]] },
      { load: 'video alone', callers: [[1, video]] },
      { load: 'video × 16', callers: [[16, video]] },
      {
        load: 'video × 16 and text × 1',
        callers: [
          [16, video],
          [1, text],
        ],
      },
    ]) {
      rows.push(await measure(embedder, load, seconds))
    }
    const { model, engine, addon } = embedder.info()
    report('embed', rows, { model: model.id, engine, addon, clip: `${values.size} gop ${values.gop}` })
  } finally {
    await embedder.dispose()
  }
}

/** Runs callers in closed loops for `seconds`. The latency shown is that of the last kind of caller. */
async function measure(embedder, { load, callers }, seconds) {
  const batches = () =>
    Object.values(embedder.stats().batches).reduce(
      (all, { count, items }) => ({ count: all.count + count, items: all.items + items }),
      { count: 0, items: 0 },
    )
  await Promise.all(callers.map(([, call]) => call()))
  const before = batches()
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  const end = performance.now() + seconds * 1000
  const latencies = callers.map(() => [])
  const began = performance.now()
  await Promise.all(
    callers.flatMap(([count, call], kind) =>
      Array.from({ length: count }, async () => {
        while (performance.now() < end) {
          const start = performance.now()
          await call()
          latencies[kind].push(performance.now() - start)
        }
      }),
    ),
  )
  const elapsed = (performance.now() - began) / 1000
  loop.disable()
  const after = batches()
  const shown = latencies.at(-1)
  return {
    load,
    'items/s': latencies.map((samples) => round(samples.length / elapsed, 1)).join(' + '),
    'p50 ms': round(percentile(shown, 0.5), 1),
    'p99 ms': round(percentile(shown, 0.99), 1),
    'mean batch': round((after.items - before.items) / Math.max(1, after.count - before.count), 1),
    'loop delay p99 ms': round(loop.percentile(99) / 1e6, 1),
    'peak MiB': Math.round(process.resourceUsage().maxRSS / 1024),
  }
}
