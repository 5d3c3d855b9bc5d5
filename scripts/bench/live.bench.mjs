// npm run bench live: the lag of the windows of a live stream, and the memory that it holds, while minutes of it are fed faster
// than real time. ffmpeg repeats a clip without encoding it again.

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { createEmbedder } from '../../dist/index.js'
import { median, percentile, report, round } from './report.mjs'

const CLIP_SECONDS = 20
const megabytes = (bytes) => round(bytes / 2 ** 20, 1)

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      minutes: { type: 'string', default: '10' },
      window: { type: 'string', default: '5' },
      size: { type: 'string', default: '640x360' },
      model: { type: 'string' },
    },
  })
  const folder = mkdtempSync(path.join(tmpdir(), 'live-bench-'))
  const embedder = await createEmbedder({ model: values.model })
  try {
    const clip = path.join(folder, 'clip.ts')
    const source = ['-f', 'lavfi', '-i', `testsrc2=size=${values.size}:rate=25:duration=${CLIP_SECONDS}`]
    const coding = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '50', '-bf', '2', '-pix_fmt', 'yuv420p']
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...source, ...coding, clip])
    const seconds = 60 * Number(values.minutes)
    const rows = []
    for (const [format, drop] of [
      ['mpegts', 'none'],
      ['mp4', 'none'],
      ['mpegts', 'oldest'],
    ]) {
      rows.push(
        await measured(embedder, { clip, format, drop, seconds, windowSeconds: Number(values.window) }),
      )
    }
    report('live', rows, { model: embedder.info().model.id, size: values.size })
  } finally {
    await embedder.dispose()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measured(embedder, { clip, format, drop, seconds, windowSeconds }) {
  const loop = [
    '-stream_loop',
    String(Math.ceil(seconds / CLIP_SECONDS) - 1),
    '-i',
    clip,
    '-t',
    String(seconds),
  ]
  const form = format === 'mp4' ? ['-movflags', 'frag_keyframe+empty_moov+default_base_moof'] : []
  const ffmpeg = spawn('ffmpeg', ['-v', 'error', ...loop, '-an', '-c', 'copy', ...form, '-f', format, '-'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lags = []
  const resident = []
  let dropped = 0
  const started = performance.now()
  for await (const window of embedder.live(ffmpeg.stdout, { windowSeconds, drop })) {
    lags.push(window.lagSeconds)
    resident.push(process.memoryUsage.rss())
    dropped += window.dropped
  }
  const took = (performance.now() - started) / 1000
  // The first tenth fills the pools and caches.
  const settled = resident.slice(Math.ceil(resident.length / 10))
  const half = Math.max(1, settled.length >> 1)
  return {
    stream: format,
    drop,
    windows: lags.length,
    dropped,
    '× real time': round(seconds / took, 1),
    'lag p50 ms': Math.round(1000 * median(lags)),
    'lag p99 ms': Math.round(1000 * percentile(lags, 0.99)),
    'MiB first half': megabytes(Math.max(...settled.slice(0, half))),
    'MiB second half': megabytes(Math.max(...settled.slice(half), 0)),
  }
}
