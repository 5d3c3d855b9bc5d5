// Makes the short clips on which the GPU suite compares decoders, of every codec and special case, with the ffmpeg command.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import path from 'node:path'

const x264 = ['-c:v', 'libx264', '-preset', 'medium']
const x265 = ['-c:v', 'libx265', '-preset', 'fast', '-x265-params', 'log-level=error']
const full = ['-vf', 'scale=out_range=full', '-color_range', 'pc']

// Name with extension → size and encoder. The source has motion, detail and saturated colours.
const recipes = {
  'h264-b-frames.mp4': ['1280x720', [...x264, '-bf', '3', '-g', '60']],
  'h264-1080p.mp4': ['1920x1080', [...x264, '-g', '30']],
  'h264-open-gop.mkv': ['640x360', [...x264, '-g', '24', '-x264-params', 'open-gop=1']],
  'h264-odd.mp4': ['426x238', [...x264]],
  'h264-full-range.mp4': ['640x360', [...full, ...x264]],
  'h264-bt709.mp4': [
    '640x360',
    [...x264, '-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'],
  ],
  'h264-10-bit.mp4': ['640x360', [...x264, '-pix_fmt', 'yuv420p10le']],
  'h264-444.mp4': ['640x360', [...x264, '-pix_fmt', 'yuv444p']],
  'h264-annex-b.ts': ['640x360', [...x264]],
  'hevc.mp4': ['1280x720', [...x265]],
  'hevc-10-bit.mp4': ['640x360', [...x265, '-pix_fmt', 'yuv420p10le']],
  'hevc-444.mkv': ['640x360', [...x265, '-pix_fmt', 'yuv444p']],
  'vp8.webm': ['640x360', ['-c:v', 'libvpx', '-b:v', '1M', '-auto-alt-ref', '1', '-lag-in-frames', '16']],
  'vp9.webm': ['641x361', ['-c:v', 'libvpx-vp9', '-b:v', '1M', '-deadline', 'realtime', '-cpu-used', '6']],
  'vp9-bt709.webm': [
    '640x360',
    ['-c:v', 'libvpx-vp9', '-b:v', '1M', '-deadline', 'realtime', '-cpu-used', '6', '-colorspace', 'bt709'],
  ],
  'vp9-full-range.webm': [
    '640x360',
    [...full, '-c:v', 'libvpx-vp9', '-b:v', '1M', '-deadline', 'realtime', '-cpu-used', '6', '-g', '12'],
  ],
  'h264-short-gop.mp4': ['1280x720', [...x264, '-bf', '2', '-g', '8']],
  'av1.mkv': ['640x360', ['-c:v', 'libsvtav1', '-preset', '10']],
  'mpeg2.mpg': ['704x576', ['-c:v', 'mpeg2video', '-b:v', '4M', '-bf', '2']],
  'mpeg4.avi': ['640x480', ['-c:v', 'mpeg4', '-b:v', '2M', '-bf', '2']],
  'mjpeg.avi': ['640x480', ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-q:v', '4']],
}

/** Makes the clips that are missing. @returns the paths of all that this ffmpeg can make, or the reason for having none */
export function gpuClips(folder) {
  if (spawnSync('ffmpeg', ['-version']).status !== 0) {
    return existsSync(folder)
      ? listed(folder)
      : { clips: [], reason: 'there is no ffmpeg program to make clips with' }
  }
  mkdirSync(folder, { recursive: true })
  for (const [name, [size, args]] of Object.entries(recipes)) {
    const file = path.join(folder, name)
    if (existsSync(file)) continue
    const partial = path.join(folder, `.partial-${name}`)
    const pixels = args.includes('-pix_fmt') ? [] : ['-pix_fmt', 'yuv420p']
    const made = spawnSync('ffmpeg', [
      ...['-hide_banner', '-loglevel', 'error', '-y'],
      ...['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=24:duration=4`],
      ...[...pixels, ...args, partial],
    ])
    // This ffmpeg may lack the encoder; then there is one clip fewer.
    if (made.status === 0) renameSync(partial, file)
    else console.error(`not made: ${name} (${String(made.stderr).trim().split('\n').at(-1)})`)
  }
  return listed(folder)
}

function listed(folder) {
  const clips = readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .map((name) => path.join(folder, name))
  return { clips, reason: clips.length > 0 ? '' : `${folder} is empty` }
}
