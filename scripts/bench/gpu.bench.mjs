// npm run bench gpu: measures one GPU. Decoding needs the driver alone. Encoding also needs TensorRT and engines of the model
// (`cosmos-embed build-engine`). The share of the GPU's bf16 peak also needs trtexec or PyTorch, which measures that peak in
// the same run.
//
// The cases of a comparison take turns in this process, a slice of their time each.

import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { createEmbedder } from '../../dist/index.js'
import binding from '../../lib/binding.js'
import { bf16Peak } from './bf16-peak.mjs'
import { wholePath } from './gpu-path.mjs'
import { benchClip } from './media.mjs'
import { percentile, report, round } from './report.mjs'

const usage = `npm run bench gpu -- [OPTIONS]
  --model DIR      bundle with engines/ (default: the embedded demo model)
  --precision LIST engines of these precisions (default: the one that the model would run with)
  --flops N        floating-point operations of one clip in TFLOP (Cosmos-Embed1 224p: 4.23), for the share of the peak
  --device N       which GPU (default 0)
  --codec LIST     of the decoded videos (default h264)
  --gop LIST       keyframe distances (default 30,250)
  --seconds N      how long each measurement runs (default 8)
  --workers LIST   decode: numbers of videos in NVDEC at a time; "default" is the library's choice (default: default)
  --callers N      of the whole path at a time (default 64)
  --only PART      decode, encode, path or latency`

const turns = 4
const { COSMOS_EMBED_CUDA: cuda, COSMOS_EMBED_NVCUVID: nvcuvid } = process.env
const libraries = { ...(cuda && { cuda }), ...(nvcuvid && { nvcuvid }) }

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string' },
      precision: { type: 'string', default: '' },
      flops: { type: 'string' },
      device: { type: 'string', default: '0' },
      codec: { type: 'string', default: 'h264' },
      gop: { type: 'string', default: '30,250' },
      seconds: { type: 'string', default: '8' },
      callers: { type: 'string', default: '64' },
      workers: { type: 'string', default: 'default' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const [device, seconds, callers] = [values.device, values.seconds, values.callers].map(Number)
  const options = { ...values, device, seconds, callers }
  try {
    await binding.probeGpu(libraries).promise
  } catch (error) {
    return console.log(`skipped: ${error.message}`)
  }
  for (const [part, measure] of Object.entries({ decode: decoding, encode: encoding, path, latency })) {
    if (values.only && values.only !== part) continue
    try {
      await measure(options)
    } catch (error) {
      // The machine lacks what this part needs.
      if (!['library', 'model', 'media_missing'].includes(error.code)) throw error
      console.log(`${part}: skipped: ${error.message}`)
    }
  }
}

/** Measures 15 s videos at 1080p per second, by decoder. */
async function decoding({ device, codec, gop, seconds, workers }) {
  const cores = availableParallelism()
  const rows = []
  let about
  for (const name of codec.split(',')) {
    for (const distance of gop.split(',').map(Number)) {
      const bytes = readFileSync(benchClip({ codec: name, size: '1080p', gop: distance, seconds: 15 }))
      const mixes = []
      for (const { decoder, callers: fixed, ...settings } of decoders({ workers, cores })) {
        const isCpu = settings.cpuWorkers === undefined
        const gpu = isCpu ? undefined : await binding.openGpu({ device, libraries, ...settings }).promise
        about ??= gpu?.info
        const shape = { frames: 8, height: 224, width: 224, ...(gpu && { gpu }) }
        const call = async () => {
          const { clip } = await binding.decodeClip({ bytes }, shape).promise
          clip.release()
        }
        const callers = fixed ?? (gpu ? 2 * gpu.info.nvdecWorkers + settings.cpuWorkers : cores)
        mixes.push({ decoder, gpu, call, callers })
      }
      for (const { of, count, elapsed, times } of await inTurns(mixes, seconds)) {
        const { nvdec, software } = of.gpu?.stats() ?? { nvdec: 0, software: count }
        rows.push({
          codec: name,
          gop: distance,
          decoder: of.decoder,
          callers: of.callers,
          'videos/s': round(count / elapsed, 1),
          'by NVDEC': `${Math.round((100 * nvdec) / Math.max(1, nvdec + software))} %`,
          ...quantiles(times, 1),
        })
        of.gpu?.close()
      }
    }
  }
  report('gpu-decode', rows, { gpu: about })
}

/** The cases: many callers for each decoder, and one caller on one engine and on all engines. */
function decoders({ workers, cores }) {
  const settings = (count) => (count === 'default' ? {} : { nvdecWorkers: Number(count) })
  return [
    ...workers.split(',').map((count) => ({
      decoder: count === 'default' ? 'NVDEC' : `NVDEC, ${count} workers`,
      cpuWorkers: 0,
      ...settings(count),
    })),
    { decoder: 'NVDEC and CPU', cpuWorkers: cores },
    { decoder: 'CPU' },
    { decoder: 'NVDEC, one engine', cpuWorkers: 0, nvdecWorkers: 1, callers: 1 },
    { decoder: 'NVDEC', cpuWorkers: 0, callers: 1 },
  ]
}

/** Measures the video tower's clips per second by precision and batch size, with clips that are already in GPU memory. */
async function encoding({ model, precision, device, flops, seconds }) {
  const found = []
  for (const each of precision.split(',')) found.push(await enginesOf({ model, precision: each, device }))
  const peak = flops ? await bf16Peak({ library: found[0].library, device }) : undefined
  if (peak?.reason) console.log(`the bf16 peak was not measured: ${peak.reason}`)
  const gpu = await binding.openGpu({ device, libraries, nvdec: 'never' }).promise
  const engines = []
  const cases = []
  for (const { options, facts } of found) {
    const engine = await binding.createEngine({ ...options, gpu }).promise
    engines.push(engine)
    const { frames, height, width } = options
    const most = engine.info.maxVideoBatch
    const clips = []
    for (let i = 0; i < most; i += 1) {
      const picture = { width, height, data: Buffer.alloc(3 * width * height, 40 + i) }
      const images = Array.from({ length: frames }, () => picture)
      clips.push((await binding.decodeClip({ images }, { frames, height, width, gpu }).promise).clip)
    }
    for (const batch of batches(most)) {
      const call = () => engine.encodeVideo(clips.slice(0, batch)).promise
      cases.push({ precision: facts.precision, batch, call, callers: engine.info.videoLanes })
    }
  }
  const rows = []
  for (const { of, count, elapsed, times } of await inTurns(cases, seconds)) {
    const clips = (count * of.batch) / elapsed
    const share = peak?.tflops && `${Math.round((100 * clips * flops) / peak.tflops)} %`
    rows.push({
      precision: of.precision,
      batch: of.batch,
      'clips/s': round(clips, 1),
      ...quantiles(times),
      ...(flops && { 'TFLOP/s': round(clips * flops, 1) }),
      ...(share && { 'of the bf16 peak': share }),
    })
  }
  for (const engine of engines) await engine.close()
  report('gpu-encode', rows, { gpu: gpu.info, engines: found.map(({ facts }) => facts), peak })
  gpu.close()
}

/** @returns the engines that an embedder would open for this precision; "" is any */
async function enginesOf({ model, precision, device }) {
  /** @type {import('../../dist/index.js').CudaOptions} */
  const wanted = { devices: [device], buildEngine: 'never', ...(precision && { precision }) }
  const embedder = await createEmbedder({ ...(model && { model }), device: 'cuda', cuda: wanted })
  const { engine, model: about, device: chosen } = embedder.info()
  await embedder.dispose()
  const { video, text } = chosen.kind === 'cuda' && chosen.gpus[0].engines
  const { frames, height, width, embeddingDim } = about
  const options = {
    ...{ backend: 'tensorrt', library: engine.library, video: video.path, text: text.path },
    ...{ frames, height, width, embeddingDim, padTokenId: 0 },
  }
  return { options, facts: video, library: engine.library }
}

/** 1, 2, 4 … and the largest. */
function batches(most) {
  const sizes = []
  for (let size = 1; size < most; size *= 2) sizes.push(size)
  return [...sizes, most]
}

/** Many callers: the throughput of a bulk job, and the time of its stages. */
async function path(options) {
  const { rows, device } = await wholePath(options)
  report('gpu-path', rows, { device })
}

/** One caller: the latency of an interactive search. */
async function latency({ model, device, seconds }) {
  const file = benchClip({ codec: 'h264', size: '1080p', gop: 30, seconds: 15 })
  /** @type {import('../../dist/index.js').CudaOptions} */
  const wanted = { devices: [device], buildEngine: 'never' }
  const open = (isolation) =>
    createEmbedder({
      ...(model && { model }),
      device: 'cuda',
      cuda: wanted,
      decode: { isolation },
    })
  const embedder = await open('none')
  const isolated = await open('process')
  let serial = 0
  const text = () => embedder.embedText(`a blue square number ${serial++} that moves to the left`)
  const video = 'video, 15 s 1080p, GOP 30'
  const queries = [
    { query: 'text', embed: text },
    { query: video, embed: () => embedder.embedVideo(file) },
    { query: `${video}, decoder process`, embed: () => isolated.embedVideo(file) },
  ].map(({ query, embed }) => {
    const timings = []
    const call = async () => timings.push((await embed()).timings)
    return { query, timings, callers: 1, call }
  })
  const rows = []
  for (const { of, times } of await inTurns(queries, seconds))
    rows.push({ query: of.query, ...quantiles(times), ...medians(of.timings) })
  report('gpu-latency', rows, { device: embedder.info().device })
  await embedder.dispose()
  await isolated.dispose()
}

/** The median of each stage of the calls, in ms. */
function medians(timings) {
  return Object.fromEntries(
    ['open', 'queue', 'decode', 'convert', 'encode'].map((stage) => [
      `${stage} ms`,
      round(
        percentile(
          timings.map((each) => each[stage]),
          0.5,
        ),
        1,
      ),
    ]),
  )
}

function quantiles(times, digits = 2) {
  return { 'p50 ms': round(percentile(times, 0.5), digits), 'p99 ms': round(percentile(times, 0.99), digits) }
}

/**
 * Runs every case for `seconds`, in slices that take turns, so that changing clocks and other load affect all cases alike.
 * Each caller calls again as soon as it has its answer. Before measuring, each calls three times, because a shape is replayed
 * as a CUDA graph from its third use on, and a lone one nine times: each lone clip creates one more decoder, until every
 * engine has one.
 */
async function inTurns(cases, seconds) {
  const results = cases.map((of) => ({ of, count: 0, elapsed: 0, times: [] }))
  for (const { callers, call } of cases) {
    for (let i = 0; i < (callers === 1 ? 9 : 3); i += 1)
      await Promise.all(Array.from({ length: callers }, call))
  }
  for (let turn = 0; turn < turns; turn += 1) {
    for (const result of results) {
      const { callers, call } = result.of
      const began = performance.now()
      const end = began + (seconds * 1000) / turns
      const caller = async () => {
        while (performance.now() < end) {
          const start = performance.now()
          await call()
          result.times.push(performance.now() - start)
        }
      }
      await Promise.all(Array.from({ length: callers }, caller))
      result.elapsed += (performance.now() - began) / 1000
      result.count = result.times.length
    }
  }
  return results
}
