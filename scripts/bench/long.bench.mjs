// npm run bench long: the segments of a long video beside one plain decode of it, and many short clips one after the other.
// Samples the memory of the process meanwhile, and draws it in docs/plots.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { worker } from './json-worker.mjs'
import { benchClip, codecs } from './media.mjs'
import { plot } from './plot.mjs'
import { report, round } from './report.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = path.join(here, '..', '..')
const CLIP_SECONDS = 15

const usage = `npm run bench long -- [OPTIONS]
  --minutes N   length of the long video, 1080p (default 120)
  --codec NAME  its codec (default h264)
  --gop N       its pictures from one keyframe to the next (default 30)
  --mbit N      its millions of bits per second (default 11)
  --window N    seconds of a segment (default 10)
  --clips N     how many short clips (default 100000)
  --model DIR   instead of the demo model
  --plots DIR   where the plots go (default docs/plots)`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      minutes: { type: 'string', default: '120' },
      codec: { type: 'string', default: 'h264' },
      gop: { type: 'string', default: '30' },
      mbit: { type: 'string', default: '11' },
      window: { type: 'string', default: '10' },
      clips: { type: 'string', default: '100000' },
      model: { type: 'string' },
      plots: { type: 'string', default: path.join(root, 'docs', 'plots') },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  mkdirSync(values.plots, { recursive: true })
  const minutes = Number(values.minutes)
  if (minutes > 0) {
    const { codec } = values
    if (!codecs.includes(codec))
      throw new Error(`--codec is ${codec}; it must be one of ${codecs.join(', ')}`)
    const named = codec === 'h264' ? '' : `-${codec}`
    const file = longVideo(minutes, { codec, gop: Number(values.gop), mbit: Number(values.mbit) })
    try {
      const plain = plainDecode(file)
      const segments = await measured({ file, windowSeconds: Number(values.window), model: values.model })
      report(`long-segments${named}`, [
        row('one plain decode of all pictures', plain, segments.cpuSeconds / plain.cpuSeconds),
        row(`segments of ${values.window} s`, segments, 1),
      ])
      draw(values.plots, `segments-memory${named}`, {
        title: `Memory while ${minutes} minutes of 1080p (${codec}) become segments`,
        x: 'seconds of media',
        samples: segments.samples,
      })
    } finally {
      rmSync(file)
    }
  }
  const count = Number(values.clips)
  if (count > 0) {
    const clips = await measured({ count, model: values.model })
    report('long-clips', [row(`${count} short clips`, clips)])
    draw(values.plots, 'clips-memory', {
      title: `Memory while ${count} short clips are embedded`,
      x: 'clips',
      samples: clips.samples,
    })
  }
}

/** All rows have the same columns. */
function row(load, measured, ratio) {
  const { seconds, cpuSeconds, done = '' } = measured
  return {
    load,
    items: done,
    seconds: round(seconds, 1),
    'CPU s': round(cpuSeconds, 1),
    ...(ratio !== undefined && { 'CPU, ours ÷ it': round(ratio) }),
    ...memoryOf(measured),
  }
}

/**
 * The memory after a tenth of the work and at its end, and the processor time that an item of its first and last tenth took,
 * which other work on the machine changes less than the time on the clock.
 */
function memoryOf({ samples = [], early, late }) {
  const last = samples.at(-1)
  const tenth = samples.find(([item]) => item >= last[0] / 10)
  return {
    'MiB at 10 %': last ? Math.round(tenth[1]) : '',
    'MiB at the end': last ? Math.round(last[1]) : '',
    'CPU ms an item, first tenth': last ? round(early) : '',
    'last tenth': last ? round(late) : '',
  }
}

function draw(folder, name, { title, x, samples }) {
  const file = path.join(folder, `${name}.svg`)
  writeFileSync(file, plot({ title, x, y: 'MiB', lines: [{ name: 'resident', points: samples }] }))
  console.log(`drew ${path.relative(process.cwd(), file)}`)
}

/** Repeats a clip without encoding it again. */
function longVideo(minutes, stream) {
  const clip = benchClip({ ...stream, size: '1080p', seconds: CLIP_SECONDS })
  const name = `long-${minutes}min-${path.basename(clip)}`
  const file = path.join(path.dirname(clip), name)
  if (existsSync(file)) return file
  console.error(`making ${path.basename(file)}`)
  const partial = path.join(path.dirname(clip), `partial-${name}`)
  const loops = String(Math.ceil((minutes * 60) / CLIP_SECONDS) - 1)
  const args = [
    '-v',
    'error',
    '-y',
    '-stream_loop',
    loops,
    '-i',
    clip,
    '-c',
    'copy',
    '-t',
    String(minutes * 60),
    partial,
  ]
  if (spawnSync('ffmpeg', args, { stdio: 'inherit' }).status !== 0)
    throw new Error(`ffmpeg could not make ${file}`)
  renameSync(partial, file)
  return file
}

/** The ffmpeg command decodes every picture with as many threads as there are cores, and does nothing with them. */
function plainDecode(file) {
  const threads = ['-threads', String(availableParallelism())]
  const args = [
    '-hide_banner',
    '-nostats',
    '-benchmark',
    ...threads,
    '-i',
    file,
    '-map',
    '0:v:0',
    '-f',
    'null',
    '-',
  ]
  const began = performance.now()
  const { status, stderr } = spawnSync('ffmpeg', args, { encoding: 'utf8' })
  const seconds = (performance.now() - began) / 1000
  const used = /utime=([\d.]+)s stime=([\d.]+)s/.exec(stderr ?? '')
  if (status !== 0 || !used) throw new Error(`ffmpeg could not decode ${file}`)
  return { seconds, cpuSeconds: Number(used[1]) + Number(used[2]) }
}

function measured(job) {
  return worker(process.execPath, [path.join(here, 'long-worker.mjs'), JSON.stringify(job)])
}
