// Where the time of decoding goes, per picture on one thread. Distributions strip libavcodec's symbols, so a profiler cannot
// tell its parts. The deblocking filter can be switched off: what that saves of the ffmpeg command is its share.

import { spawnSync } from 'node:child_process'

import binding from '../../lib/binding.js'
import { report, round } from './report.mjs'

const FRAMES = 8
const SIDE = 224

/** Profiles each of `clips`, `{ name, file }`, `runs` times, and reports the fastest run of each part. */
export async function profile(clips, runs) {
  const rows = []
  for (const { name, file } of clips) rows.push(...(await partsOf(name, file, runs)))
  report('decode-profile', rows)
}

async function partsOf(name, file, runs) {
  const options = { frames: FRAMES, height: SIDE, width: SIDE, threads: 1 }
  const { images, report: facts } = await binding.decodeClip({ path: file }, { ...options, keepImages: true })
    .promise
  const least = { open: Infinity, decode: Infinity, convert: Infinity, resize: Infinity }
  const filter = { on: Infinity, off: Infinity }
  for (let run = 0; run < runs; run += 1) {
    const { clip, report: took } = await binding.decodeClip({ path: file }, options).promise
    clip.release()
    const began = performance.now()
    for (const image of images) binding.resizeRgb(image, SIDE, SIDE)
    const resize = performance.now() - began
    least.open = Math.min(least.open, took.openMs)
    least.decode = Math.min(least.decode, took.decodeMs)
    least.convert = Math.min(least.convert, took.convertMs)
    least.resize = Math.min(least.resize, resize)
    filter.on = Math.min(filter.on, secondsOfFfmpeg(file, []))
    filter.off = Math.min(filter.off, secondsOfFfmpeg(file, ['-skip_loop_filter', 'all']))
  }
  const deblocking = least.decode * Math.max(1 - filter.off / filter.on, 0)
  const total = least.open + least.decode + least.convert
  const parts = [
    { step: 'index', ms: least.open, count: 1, unit: 'clip' },
    {
      step: 'entropy decoding and reconstruction',
      ms: least.decode - deblocking,
      count: facts.decoded,
      unit: 'picture decoded',
    },
    {
      step: 'deblocking and other loop filters',
      ms: deblocking,
      count: facts.decoded,
      unit: 'picture decoded',
    },
    { step: 'RGB', ms: Math.max(least.convert - least.resize, 0), count: FRAMES, unit: 'frame' },
    { step: 'resize', ms: least.resize, count: FRAMES, unit: 'frame' },
  ]
  return parts.map(({ step, ms, count, unit }) => ({
    clip: name,
    step,
    times: `${count} × ${unit}`,
    'ms each': round(ms / count),
    'ms a clip': round(ms, 1),
    share: `${Math.round((100 * ms) / total)} %`,
  }))
}

/** Processor seconds of decoding all of the file on one thread. */
function secondsOfFfmpeg(file, options) {
  const args = [
    '-hide_banner',
    '-nostats',
    '-benchmark',
    '-threads',
    '1',
    ...options,
    '-i',
    file,
    '-f',
    'null',
    '-',
  ]
  const { status, stderr } = spawnSync('ffmpeg', args, { encoding: 'utf8' })
  const used = /utime=([\d.]+)s/.exec(stderr ?? '')
  if (status !== 0 || !used) throw new Error(`ffmpeg could not decode ${file}`)
  return Number(used[1])
}
