// npm run bench embed: measures the whole path in one process, and the delay of its event loop.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { createEmbedder } from '../../dist/index.js'
import { benchClip, published } from './media.mjs'
import { percentile, report, round } from './report.mjs'

const usage = `npm run bench embed -- [OPTIONS]
  --model DIR      bundle (default: the embedded demo model)
  --device NAME    cpu, auto or cuda (default: auto). With cuda, exits with 1 where no GPU can be used
  --seconds N      how long each load runs (default 8)
  --callers N      of the loads with many videos (default 16; with cuda 64)
  --video FILE     the video (default: made by ffmpeg; with cuda 15 s long, otherwise 10 s)
  --size SIZE      of that video, 720p or 1080p (default 720p; with cuda 1080p)
  --gop N          its keyframe distance (default 30)
  --threads N      engine threads on the CPU (default: the embedder's own choice)
  --tolerance S    frame tolerance (default 0)`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string' },
      device: { type: 'string', default: 'auto' },
      seconds: { type: 'string', default: '8' },
      callers: { type: 'string' },
      video: { type: 'string' },
      size: { type: 'string' },
      gop: { type: 'string', default: '30' },
      threads: { type: 'string' },
      tolerance: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const isCuda = values.device === 'cuda'
  const seconds = Number(values.seconds)
  const many = Number(values.callers ?? (isCuda ? 64 : 16))
  const embedder = await open(values)
  const size = values.size ?? (isCuda ? published.size : '720p')
  const gop = Number(values.gop)
  const file =
    values.video ?? benchClip({ ...published, size, gop, seconds: isCuda ? published.seconds : 10 })
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
      { load: `video × ${many}`, callers: [[many, video]] },
      {
        load: `video × ${many} and text × 1`,
        callers: [
          [many, video],
          [1, text],
        ],
      },
    ]) {
      rows.push(await measure(embedder, load, seconds))
    }
    const { model, engine, addon, device } = embedder.info()
    const clip = values.video ?? `${size} gop ${gop}`
    report(isCuda ? 'embed-cuda' : 'embed', rows, { model: model.id, engine, addon, device, clip })
  } finally {
    await embedder.dispose()
  }
}

/** Ends the process with one sentence where `--device cuda` has no GPU to measure. */
async function open({ model, device, threads }) {
  try {
    return await createEmbedder({
      ...(model && { model }),
      ...(threads && { onnxruntime: { intraOpThreads: Number(threads) } }),
      device,
      cuda: { buildEngine: 'never' },
    })
  } catch (error) {
    if (device !== 'cuda' || !['library', 'model'].includes(error.code)) throw error
    const reason = error.message.split('\n')[0].replace(/:$/, '')
    console.error(`bench embed: no GPU can be measured here: ${reason}`)
    process.exit(1)
  }
}

/** Runs callers in closed loops for `seconds`. The latency shown is that of the last kind of caller. */
async function measure(embedder, { load, callers }, seconds) {
  const decoders = () => {
    const [gpu] = embedder.stats().gpus
    return { nvdec: gpu?.nvdec ?? 0, all: (gpu?.nvdec ?? 0) + (gpu?.software ?? 0), isGpu: gpu !== undefined }
  }
  const batches = () =>
    Object.values(embedder.stats().batches).reduce(
      (all, { count, items }) => ({ count: all.count + count, items: all.items + items }),
      { count: 0, items: 0 },
    )
  await Promise.all(callers.map(([, call]) => call()))
  const before = batches()
  const decodedBefore = decoders()
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
  const decoded = decoders()
  const byHardware = (decoded.nvdec - decodedBefore.nvdec) / (decoded.all - decodedBefore.all)
  const shown = latencies.at(-1)
  return {
    load,
    'items/s': latencies.map((samples) => round(samples.length / elapsed, 1)).join(' + '),
    'p50 ms': round(percentile(shown, 0.5), 1),
    'p99 ms': round(percentile(shown, 0.99), 1),
    'mean batch': round((after.items - before.items) / Math.max(1, after.count - before.count), 1),
    'loop delay p99 ms': round(loop.percentile(99) / 1e6, 1),
    ...(decoded.isGpu && { 'by NVDEC': byHardware >= 0 ? `${Math.round(100 * byHardware)} %` : '' }),
    'peak MiB': Math.round(process.resourceUsage().maxRSS / 1024),
  }
}
