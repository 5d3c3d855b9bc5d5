// Generates the files of `npm run bench path` with the ffmpeg command, once, and keeps them in .cache/bench-media/path: what a
// library of videos from many sources looks like, in sizes, shapes, codecs, containers, lengths and keyframe distances.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
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
/** Seconds that are encoded, and how often they are shown: encoding is what takes time here. */
const lengths = [2, 3, 4]
const repetitions = [1, 2, 3, 4, 6]
const rates = [24, 25, 30, 30, 60]
const keyframes = [1, 2, 2, 4]
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
  {
    name: 'mpeg4',
    args: ['-c:v', 'mpeg4', '-bf', '0'],
    containers: ['avi'],
    // Such files cannot say which matrix their colours have, and from 720 lines on programs do not assume the same.
    size: { width: 640, height: 360, mbits: 1 },
  },
]

/** @returns `count` different files; the same for the same count on every machine with the same ffmpeg */
export function mixedFiles(count) {
  mkdirSync(folder, { recursive: true })
  const random = randomFrom(18)
  const one = (list) => list[Math.floor(random() * list.length)]
  return Array.from({ length: count }, (_, number) => {
    const recipe = { size: one(sizes), seconds: one(lengths), times: one(repetitions), rate: one(rates) }
    const codec = one(codecs)
    return make(number, { ...recipe, distance: one(keyframes), codec, container: one(codec.containers) })
  })
}

function make(number, { seconds, times, rate, distance, codec, container, ...recipe }) {
  const size = codec.size ?? recipe.size
  const name = [
    number,
    codec.name,
    `${size.width}x${size.height}`,
    `${rate}fps`,
    `${seconds * times}s`,
    `key${distance}s`,
  ]
  const file = path.join(folder, `${name.join('-')}.${container}`)
  const about = { file, seconds: seconds * times, pixels: size.width * size.height, codec: codec.name }
  if (existsSync(file)) return about
  const partial = path.join(folder, `partial-${path.basename(file)}`)
  const once = path.join(folder, `once-${path.basename(file)}`)
  // Moving shapes under film grain, because a clean test picture takes almost no bits. The hue tells the files apart.
  const picture = [
    `testsrc2=size=${size.width}x${size.height}:rate=${rate}:duration=${seconds}`,
    `hue=h=${(number * 47) % 360}`,
    'noise=alls=9:allf=t',
    // Files say which matrix their colours have: where one does not, programs guess, and not all of them the same.
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
  ffmpeg('-f', 'lavfi', '-i', picture.join(','), ...codec.args, ...keys, ...tags, once)
  ffmpeg('-stream_loop', String(times - 1), '-i', once, '-c', 'copy', partial)
  rmSync(once)
  renameSync(partial, file)
  return about
}

function ffmpeg(...args) {
  const { status, error, stderr } = spawnSync(
    'ffmpeg',
    ['-hide_banner', '-loglevel', 'error', '-y', ...args],
    {
      stdio: ['ignore', 'inherit', 'pipe'],
      encoding: 'utf8',
    },
  )
  if (status !== 0) throw new Error(`ffmpeg could not make ${args.at(-1)}: ${error?.message ?? stderr}`)
}
