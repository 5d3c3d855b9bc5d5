// Measures the whole path on a GPU, from files and texts to vectors, with many callers at once, and the time of each stage.

import { spawn } from 'node:child_process'
import { createEmbedder } from '../../dist/index.js'
import { benchClip } from './media.mjs'
import { percentile, round } from './report.mjs'

const stages = ['open', 'decode', 'convert', 'queue', 'encode']

/**
 * Measures items per second by decoder mix, keyframe distance and tolerance. Each of the `callers` calls again as soon as it
 * has its answer.
 * @returns {Promise<{ rows: object[], device: object }>}
 */
export async function wholePath({ model, device, codec, gop, seconds, callers }) {
  const rows = []
  let about
  /** @type {import('../../dist/index.js').CudaOptions} */
  const one = { devices: [device], buildEngine: 'never' }
  for (const { mix, cuda, processes } of [
    { mix: 'NVDEC', cuda: { ...one, cpuWorkers: 0 }, processes: false },
    { mix: 'NVDEC and CPU', cuda: one, processes: false },
    { mix: 'NVDEC, fed by decoder processes', cuda: { ...one, cpuWorkers: 0 }, processes: true },
  ]) {
    const embedder = await createEmbedder({
      ...(model && { model }),
      device: 'cuda',
      cuda,
      decode: { isolation: processes ? 'process' : 'none' },
    })
    about = embedder.info().device
    try {
      for (const load of loads({ codec, gop, mix })) {
        rows.push(await measure(embedder, { ...load, mix, seconds, callers }))
      }
    } finally {
      await embedder.dispose()
    }
  }
  return { rows, device: about }
}

/** The loads: 15 s videos at 1080p, and texts, which are measured once since they need no decoder. */
function loads({ codec, gop, mix }) {
  const videos = codec.split(',').flatMap((name) =>
    gop
      .split(',')
      .map(Number)
      .flatMap((distance) => {
        const file = benchClip({ codec: name, size: '1080p', gop: distance, seconds: 15 })
        return [0, 0.5].map((frameTolerance) => ({
          load: `${name} GOP ${distance}${frameTolerance ? `, tolerance ${frameTolerance} s` : ''}`,
          call: (embedder) => embedder.embedVideo(file, { priority: 'bulk', frameTolerance }),
        }))
      }),
  )
  if (mix !== 'NVDEC') return videos
  let serial = 0
  const text = (embedder) =>
    embedder.embedText(`a blue square number ${serial++} that moves`, { priority: 'bulk' })
  return [...videos, { load: 'texts', call: text }]
}

async function measure(embedder, { load, mix, call, seconds, callers }) {
  await Promise.all(Array.from({ length: callers }, () => call(embedder)))
  const before = counts(embedder)
  const use = watchUse(embedder.info().device.gpus[0].uuid)
  const results = []
  const times = []
  const began = performance.now()
  const end = began + seconds * 1000
  const caller = async () => {
    while (performance.now() < end) {
      const start = performance.now()
      results.push(await call(embedder))
      times.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const elapsed = (performance.now() - began) / 1000
  const { sm, dec } = use.stop()
  const after = counts(embedder)
  const byNvdec = after.nvdec - before.nvdec
  const byCpu = after.software - before.software
  const medianOf = (stage) =>
    round(
      percentile(
        results.map(({ timings }) => timings[stage]),
        0.5,
      ),
      1,
    )
  return {
    load,
    decoders: load === 'texts' ? '' : mix,
    'items/s': round(results.length / elapsed, 1),
    'by NVDEC': load === 'texts' ? '' : `${Math.round((100 * byNvdec) / Math.max(1, byNvdec + byCpu))} %`,
    'p50 ms': round(percentile(times, 0.5), 1),
    'p99 ms': round(percentile(times, 0.99), 1),
    ...Object.fromEntries(stages.map((stage) => [`${stage} ms`, medianOf(stage)])),
    'mean batch': round((after.items - before.items) / Math.max(1, after.batches - before.batches), 1),
    'SM busy': sm,
    'NVDEC busy': dec,
  }
}

function counts(embedder) {
  const { gpus, batches } = embedder.stats()
  const { nvdec = 0, software = 0 } = gpus[0] ?? {}
  const { video, text } = batches
  return { nvdec, software, batches: video.count + text.count, items: video.items + text.items }
}

/** Samples nvidia-smi each second. Means: the share of the time in which kernels ran, and in which NVDEC worked. */
function watchUse(uuid) {
  let printed = ''
  const child = spawn('nvidia-smi', ['dmon', '-s', 'u', '-d', '1', '-i', uuid], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  child.on('error', () => {}) // Where nvidia-smi is missing, the columns stay empty.
  child.stdout?.on('data', (chunk) => {
    printed += chunk
  })
  return {
    stop() {
      child.kill()
      const lines = printed.split('\n').map((line) => line.trim().split(/\s+/))
      const header = lines.find(([first]) => first === '#')?.slice(1)
      const samples = lines.filter(([first]) => /^\d+$/.test(first))
      const mean = (column) => {
        const place = header?.indexOf(column) ?? -1
        const values = samples.map((sample) => Number(sample[place])).filter(Number.isFinite)
        if (place < 0 || values.length === 0) return ''
        return `${Math.round(values.reduce((sum, value) => sum + value, 0) / values.length)} %`
      }
      return { sm: mean('sm'), dec: mean('dec') }
    },
  }
}
