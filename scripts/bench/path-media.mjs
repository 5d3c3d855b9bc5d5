// Generates the files of `npm run bench path` with the ffmpeg command, once, and keeps them in .cache/bench-media/path: what a
// library of videos from many sources looks like, in sizes, shapes, codecs, containers, lengths and keyframe distances.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { randomFrom } from '../random.mjs'

const folder = fileURLToPath(new URL('../../.cache/bench-media/path', import.meta.url))

/** Width, height and Mbit/s; a size that is named twice is twice as frequent. */
const sizes = [
  ...Array(3).fill({ width: 640, height: 360, mbits: 1 }),
  ...Array(3).fill({ width: 1280, height: 720, mbits: 4 }),
  ...Array(2).fill({ width: 1920, height: 1080, mbits: 8 }),
  { width: 320, height: 240, mbits: 0.5 },
  { width: 720, height: 1280, mbits: 4 },
]
const lengths = [2, 3, 4, 6, 8]
const rates = [24, 25, 30, 30, 60]
const keyframes = [1, 2, 2, 8]
const codecs = [
  ...Array(5).fill({
    name: 'h264',
    args: ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '2'],
    // No MPEG-TS: torchcodec 0.17 and PyAV 18.1 take other frames of some such files, and torchcodec refuses others.
    containers: ['mp4', 'mp4', 'mov', 'mkv', 'mkv'],
  }),
  ...Array(2).fill({
    name: 'hevc',
    args: ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1', '-x265-params', 'log-level=error'],
    containers: ['mp4', 'mov'],
  }),
  {
    name: 'vp9',
    args: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-row-mt', '1'],
    containers: ['webm'],
  },
  { name: 'av1', args: ['-c:v', 'libsvtav1', '-preset', '12'], containers: ['mp4', 'webm'] },
  { name: 'mpeg4', args: ['-c:v', 'mpeg4', '-bf', '0'], containers: ['avi'] },
]

/** @returns `count` different files; the same for the same count on every machine with the same ffmpeg */
export function mixedFiles(count) {
  mkdirSync(folder, { recursive: true })
  const random = randomFrom(18)
  const one = (list) => list[Math.floor(random() * list.length)]
  return Array.from({ length: count }, (_, number) => {
    const recipe = { size: one(sizes), seconds: one(lengths), rate: one(rates), distance: one(keyframes) }
    const codec = one(codecs)
    return make(number, { ...recipe, codec, container: one(codec.containers) })
  })
}

function make(number, { size, seconds, rate, distance, codec, container }) {
  const name = [
    number,
    codec.name,
    `${size.width}x${size.height}`,
    `${rate}fps`,
    `${seconds}s`,
    `key${distance}s`,
  ]
  const file = path.join(folder, `${name.join('-')}.${container}`)
  if (existsSync(file)) return { file, seconds, pixels: size.width * size.height, codec: codec.name }
  const partial = path.join(folder, `partial-${path.basename(file)}`)
  // Moving shapes under film grain, because a clean test picture takes almost no bits. The hue tells the files apart.
  const picture = [
    `testsrc2=size=${size.width}x${size.height}:rate=${rate}:duration=${seconds}`,
    `hue=h=${(number * 47) % 360}`,
    'noise=alls=9:allf=t',
    // Every file says which matrix its colours have: where one does not, programs guess, and not all of them the same.
    'scale=out_color_matrix=bt709:out_range=tv',
    'format=yuv420p',
  ]
  const tags = [
    '-colorspace',
    'bt709',
    '-color_primaries',
    'bt709',
    '-color_trc',
    'bt709',
    '-color_range',
    'tv',
  ]
  const keys = ['-g', String(Math.round(rate * distance)), '-b:v', `${size.mbits}M`]
  const result = spawnSync(
    'ffmpeg',
    [
      ...['-hide_banner', '-loglevel', 'error', '-y', '-f', 'lavfi', '-i', picture.join(',')],
      ...[...codec.args, ...keys, ...tags, partial],
    ],
    { stdio: ['ignore', 'inherit', 'pipe'], encoding: 'utf8' },
  )
  if (result.status !== 0)
    throw new Error(`ffmpeg could not make ${file}: ${result.error?.message ?? result.stderr}`)
  renameSync(partial, file)
  return { file, seconds, pixels: size.width * size.height, codec: codec.name }
}
