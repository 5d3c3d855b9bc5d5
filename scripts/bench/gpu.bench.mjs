// npm run bench gpu: what one GPU does. Decoding needs the driver alone; encoding also TensorRT and engines of the model
// (`cosmos-embed build-engine`); the share of the card's bf16 peak also trtexec, which measures the peak in the same run.

import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { createEmbedder } from '../../dist/index.js'
import binding from '../../lib/binding.js'
import { bf16Peak } from './bf16-peak.mjs'
import { benchClip } from './media.mjs'
import { percentile, report, round } from './report.mjs'

const usage = `npm run bench gpu -- [OPTIONS]
  --model DIR      bundle with engines/ (default: the embedded demo model)
  --flops N        floating-point operations of one clip in TFLOP (Cosmos-Embed1 224p: 4.23), for the share of the peak
  --device N       which GPU (default 0)
  --codec LIST     of the decoded videos (default h264)
  --gop LIST       keyframe distances (default 30,250)
  --seconds N      how long each measurement runs (default 8)
  --only PART      decode, encode or latency`

const { COSMOS_EMBED_CUDA: cuda, COSMOS_EMBED_NVCUVID: nvcuvid } = process.env
const libraries = { ...(cuda && { cuda }), ...(nvcuvid && { nvcuvid }) }

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string' },
      flops: { type: 'string' },
      device: { type: 'string', default: '0' },
      codec: { type: 'string', default: 'h264' },
      gop: { type: 'string', default: '30,250' },
      seconds: { type: 'string', default: '8' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const device = Number(values.device)
  const seconds = Number(values.seconds)
  try {
    binding.probeGpu(libraries)
  } catch (error) {
    return console.log(`skipped: ${error.message}`)
  }
  const wanted = (part) => !values.only || values.only === part
  if (wanted('decode')) await decoding({ ...values, device, seconds })
  if (!wanted('encode') && !wanted('latency')) return
  const options = {
    ...(values.model && { model: values.model }),
    device: 'cuda',
    cuda: { devices: [device], buildEngine: 'never' },
  }
  let embedder
  try {
    embedder = await createEmbedder(options)
  } catch (error) {
    return console.log(`encoding and latency: skipped: ${error.message}`)
  }
  try {
    if (wanted('encode')) await encoding(embedder, { ...values, seconds })
    if (wanted('latency')) await latency(embedder, seconds)
  } finally {
    await embedder.dispose()
  }
}

/** Videos per second of 15 s at 1080p, by who decodes them. All mixes of one clip run in turn in this one process. */
async function decoding({ device, codec, gop, seconds }) {
  const cores = availableParallelism()
  const rows = []
  let about
  for (const name of codec.split(',')) {
    for (const distance of gop.split(',').map(Number)) {
      const bytes = readFileSync(benchClip({ codec: name, size: '1080p', gop: distance, seconds: 15 }))
      for (const [decoder, options] of [
        ['NVDEC', { cpuWorkers: 0 }],
        ['NVDEC and CPU', { cpuWorkers: cores }],
        ['CPU', undefined],
      ]) {
        const gpu = options && (await binding.openGpu({ device, libraries, ...options }).promise)
        about ??= gpu?.info
        const shape = { frames: 8, height: 224, width: 224, ...(gpu && { gpu }) }
        const one = async () => {
          const { clip } = await binding.decodeClip({ bytes }, shape).promise
          clip.release()
        }
        const callers = gpu ? gpu.info.nvdecEngines + (options.cpuWorkers || 1) : cores
        const { count, elapsed, times } = await closedLoop(callers, seconds, one)
        const { nvdec, software } = gpu?.stats() ?? { nvdec: 0, software: count }
        rows.push({
          codec: name,
          gop: distance,
          decoder,
          'videos/s': round(count / elapsed, 1),
          'by NVDEC': `${Math.round((100 * nvdec) / Math.max(1, nvdec + software))} %`,
          'p50 ms': round(percentile(times, 0.5), 1),
          'p99 ms': round(percentile(times, 0.99), 1),
        })
        gpu?.close()
      }
    }
  }
  report('gpu-decode', rows, { gpu: about })
}

/** Clips per second of the video tower by batch size, from clips that already lie in the card's memory. */
async function encoding(embedder, { flops, seconds }) {
  const { device, limits } = embedder.info()
  const peak = flops ? await bf16Peak(device) : undefined
  if (peak?.reason) console.log(`the bf16 peak was not measured: ${peak.reason}`)
  const rows = []
  for (let batch = 1; batch <= limits.maxVideoBatch; batch *= 2) {
    const clip = Buffer.alloc(3 * 224 * 224, 127)
    const frames = Array.from({ length: 8 }, () => ({ width: 224, height: 224, data: clip }))
    const one = () => embedder.embedMany(Array.from({ length: batch }, () => ({ frames })))
    const { count, elapsed } = await closedLoop(2, seconds, one)
    const clips = (count * batch) / elapsed
    rows.push({
      batch,
      'clips/s': round(clips, 1),
      ...(flops && { 'TFLOP/s': round(clips * Number(flops), 1) }),
      ...(peak?.tflops && {
        'of the bf16 peak': `${Math.round((100 * clips * Number(flops)) / peak.tflops)} %`,
      }),
    })
  }
  report('gpu-encode', rows, { device, peak })
}

/** One caller: what a search box waits for. */
async function latency(embedder, seconds) {
  const file = benchClip({ codec: 'h264', size: '1080p', gop: 30, seconds: 15 })
  const rows = []
  let serial = 0
  for (const [query, one] of [
    ['text', () => embedder.embedText(`a blue square number ${serial++} that moves to the left`)],
    ['video, 15 s 1080p', () => embedder.embedVideo(file)],
  ]) {
    const { times } = await closedLoop(1, seconds, one)
    rows.push({ query, 'p50 ms': round(percentile(times, 0.5)), 'p99 ms': round(percentile(times, 0.99)) })
  }
  report('gpu-latency', rows, { device: embedder.info().device })
}

/** `callers` call again as soon as they are answered, after a warm-up of one call each. */
async function closedLoop(callers, seconds, call) {
  await Promise.all(Array.from({ length: callers }, call))
  const times = []
  const began = performance.now()
  const end = began + seconds * 1000
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < end) {
        const start = performance.now()
        await call()
        times.push(performance.now() - start)
      }
    }),
  )
  return { count: times.length, elapsed: (performance.now() - began) / 1000, times }
}
