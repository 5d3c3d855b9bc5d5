// Generates videos whose cuts are known, with the ffmpeg command, once, and keeps them in .cache/bench-media.
//
// The shots move, turn, zoom and have grain; some begin with a flash or have one in the middle, which is no cut. Neighbours
// are of different kinds, or of one kind in another place, so that some cuts are hard to see.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { randomFrom } from '../random.mjs'

const folder = fileURLToPath(new URL('../../.cache/bench-media', import.meta.url))

const encoders = [
  { extension: 'mp4', args: ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '250', '-bf', '3'] },
  // As cameras and streaming services make it: keyframes at fixed distances, wherever the cuts are.
  { extension: 'mkv', args: ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '60', '-sc_threshold', '0'] },
  { extension: 'webm', args: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '1M'] },
  { extension: 'ts', args: ['-c:v', 'mpeg2video', '-q:v', '5', '-bf', '2', '-g', '15'] },
]

/** @returns videos as `{ file, cuts, frames, rate }`; `cuts` in seconds */
export function videosWithCuts({ count, seconds, size, seed }) {
  return Array.from({ length: count }, (_, index) => videoWithCuts({ index, seconds, size, seed }))
}

function videoWithCuts({ index, seconds, size, seed }) {
  const { extension, args } = encoders[index % encoders.length]
  const name = `cuts-${seed}-${index}-${size}-${seconds}s`
  const file = path.join(folder, `${name}.${extension}`)
  const list = path.join(folder, `${name}.json`)
  if (existsSync(file) && existsSync(list)) return { file, ...JSON.parse(readFileSync(list, 'utf8')) }
  mkdirSync(folder, { recursive: true })
  console.error(`making ${path.basename(file)}`)
  const random = randomFrom(seed * 1000 + index)
  const rate = [25, 30, 24][index % 3]
  const lengths = []
  for (let left = seconds * rate; left > 0; ) {
    const length = Math.min(left, Math.round(rate * (0.8 + random() ** 2 * 8)))
    lengths.push(left - length < rate ? left : length)
    left -= lengths.at(-1)
  }
  const shots = lengths.map((length, shot) => shotFilter({ length, shot, rate, size, random }))
  const graph = `${shots.join(';')};${lengths.map((_, shot) => `[s${shot}]`).join('')}concat=n=${lengths.length}[v]`
  const partial = path.join(folder, `partial-${path.basename(file)}`)
  const output = ['-map', '[v]', '-pix_fmt', 'yuv420p', ...args, partial]
  const how = ['-hide_banner', '-loglevel', 'error', '-y', '-filter_complex', graph, ...output]
  const result = spawnSync('ffmpeg', how, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.status !== 0) {
    throw new Error(`ffmpeg could not make ${file}: ${result.error?.message ?? `exit ${result.status}`}`)
  }
  const cuts = []
  for (let shot = 1, frame = 0; shot < lengths.length; shot += 1) {
    frame += lengths[shot - 1]
    cuts.push(frame / rate)
  }
  const facts = { cuts, frames: seconds * rate, rate }
  writeFileSync(list, JSON.stringify(facts))
  renameSync(partial, file)
  return { file, ...facts }
}

function shotFilter({ length, shot, rate, size, random }) {
  const between = (low, high) => low + random() * (high - low)
  const pick = (list) => list[Math.floor(random() * list.length)]
  const [width, height] = size.split('x').map(Number)
  const large = `${width * 2}x${height * 2}`
  const colour = () =>
    `0x${Math.floor(random() * 0xffffff)
      .toString(16)
      .padStart(6, '0')}`
  const sources = [
    () =>
      `mandelbrot=size=${size}:rate=${rate}:start_x=${between(-1.4, 0.3).toFixed(3)}:start_y=${between(-0.6, 0.6).toFixed(3)}:start_scale=${between(0.05, 2).toFixed(3)}:end_scale=0.001`,
    () =>
      `gradients=size=${large}:rate=${rate}:c0=${colour()}:c1=${colour()}:c2=${colour()}:nb_colors=3:speed=${between(0.002, 0.02).toFixed(4)}:seed=${Math.floor(random() * 1e6)}`,
    () => `testsrc2=size=${large}:rate=${rate},hue=h=${Math.floor(random() * 360)}`,
    () =>
      `life=size=${width / 4}x${height / 4}:rate=${rate}:ratio=${between(0.1, 0.4).toFixed(2)}:mold=20:life_color=${colour()}:death_color=${colour()}:mold_color=${colour()}:seed=${Math.floor(random() * 1e6)},scale=${large}`,
    () =>
      `color=c=${colour()}:size=${large}:rate=${rate},drawbox=x=iw/4:y=ih/4:w=iw/3:h=ih/3:c=${colour()}:t=fill`,
  ]
  const [w, h] = [width, height]
  const camera = [
    `scale=${size}`,
    // A pan, a shaking hand, and a slow drift over the larger picture.
    `scale=${large},crop=${w}:${h}:x='${w}*min(1\\,n/${length})':y=${Math.floor(h / 3)}`,
    `scale=${large},crop=${w}:${h}:x='${w / 2}+20*sin(n*0.9)':y='${h / 2}+12*cos(n*1.3)'`,
    `scale=${large},crop=${w}:${h}:x='${w / 4}+n':y=0`,
  ]
  const flashes = length > rate * 2 && random() < 0.25
  const at = Math.floor(length / 2)
  const flash = flashes
    ? `,drawbox=t=fill:c=white@0.9:enable='between(n,${at},${at + Math.floor(random() * 3)})'`
    : ''
  const light = `,eq=brightness=${between(-0.15, 0.1).toFixed(2)}:saturation=${between(0.4, 1.2).toFixed(2)}`
  const grain = random() < 0.5 ? ',noise=alls=12:allf=t' : ''
  return (
    `${pick(sources)()},trim=end_frame=${length},setpts=N/${rate}/TB,${pick(camera)}` +
    `${light}${flash}${grain},format=yuv420p,setsar=1[s${shot}]`
  )
}
