// Generates clips for the benchmarks with the ffmpeg command, once, and keeps them in .cache/bench-media.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.cache/bench-media', import.meta.url))
const sizes = { '4k': '3840x2160', '1080p': '1920x1080', '720p': '1280x720' }
// Drawing 4K takes longer than encoding it.
const drawn = { ...sizes, '4k': sizes['1080p'] }

// Encoder settings that are common in real files: B-frames, several references.
const encoders = {
  h264: { args: ['-c:v', 'libx264', '-preset', 'medium', '-b:v', '11M'], extension: 'mp4' },
  hevc: {
    args: ['-c:v', 'libx265', '-preset', 'fast', '-b:v', '7M', '-x265-params', 'log-level=error'],
    extension: 'mp4',
  },
  vp9: {
    args: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '6', '-row-mt', '1', '-b:v', '7M'],
    extension: 'webm',
  },
  av1: { args: ['-c:v', 'libsvtav1', '-preset', '10', '-b:v', '5M'], extension: 'mkv' },
}

for (const [name, { args, extension }] of Object.entries(encoders)) {
  const profile = name === 'vp9' ? ['-profile:v', '2'] : []
  encoders[`${name}-10`] = { args: [...args, ...profile], extension, pixels: 'yuv420p10le' }
}

/** The videos for which NVIDIA publishes what its container does on a GPU; our measurements on GPUs are of the same kind. */
export const published = { codec: 'h264', size: '1080p', seconds: 15 }

export const codecs = Object.keys(encoders)

/**
 * @param {{ codec: string, size: string, gop: number, seconds: number, mbit?: number }} options `mbit`, in millions of bits
 *   per second, is what the encoder aims at instead of its usual rate
 * @returns the path of a clip with much detail and motion: a zoom into the Mandelbrot set at 30 frames per second
 */
export function benchClip({ codec, size, gop, seconds, mbit }) {
  const { args, extension, pixels = 'yuv420p' } = encoders[codec]
  const rate = mbit ? ['-b:v', `${mbit}M`] : []
  const name = `${codec}-${size}-gop${gop}-${seconds}s${mbit ? `-${mbit}mbit` : ''}`
  const file = path.join(folder, `${name}.${extension}`)
  if (existsSync(file)) return file
  mkdirSync(folder, { recursive: true })
  console.error(`making ${path.basename(file)}`)
  const partial = path.join(folder, `partial-${path.basename(file)}`)
  const result = spawnSync(
    'ffmpeg',
    [
      ...['-hide_banner', '-loglevel', 'error', '-y'],
      ...['-f', 'lavfi', '-i', `mandelbrot=size=${drawn[size]}:rate=30`, '-t', String(seconds)],
      ...['-vf', `scale=${sizes[size]}`, '-pix_fmt', pixels, ...args, ...rate, '-g', String(gop), partial],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  if (result.status !== 0) {
    const message = `ffmpeg could not make ${file}: ${result.error?.message ?? `exit ${result.status}`}`
    throw Object.assign(new Error(message), { code: 'media_missing' })
  }
  renameSync(partial, file)
  return file
}
