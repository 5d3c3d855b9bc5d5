// Generates videos for the comparison: a few streams are encoded, and many files are made from them by copying. Everything
// is kept in .cache/compare under a hash of its recipe.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { picture } from './streams.mjs'
import { timesOfVc1, writeVc1 } from './vc1.mjs'

const folder = fileURLToPath(new URL('../../.cache/compare', import.meta.url))
const edits = ['edits.mjs', 'hevc-edits.mjs']
  .map((name) => readFileSync(new URL(name, import.meta.url)))
  .join('')

/** The first line of `ffmpeg -version`: it is part of the hash, since versions make different files. */
export function ffmpegVersion() {
  const { stdout, error } = spawnSync('ffmpeg', ['-version'], { encoding: 'utf8' })
  if (error) throw new Error(`there is no ffmpeg program to make videos with: ${error.message}`)
  return stdout.split('\n', 1)[0]
}

/** Encodes a stream unless its file exists. @returns the file */
export async function makeStream(stream, version) {
  if (stream.written) return await makeWritten(stream.written, version)
  const pixels = path.join(folder, `${digest(drawing())}.yuv`)
  mkdirSync(folder, { recursive: true })
  if (!existsSync(pixels)) keep(pixels, (partial) => writeFileSync(partial, drawing()))
  const { width, height, rate } = picture
  const args = [
    ...[
      '-f',
      'rawvideo',
      '-pix_fmt',
      'yuv420p',
      '-s',
      `${width}x${height}`,
      '-r',
      String(rate),
      '-i',
      pixels,
    ],
    ...['-threads', '1', ...stream.args, '-flags:v', '+bitexact', '-fflags', '+bitexact', '-f', 'nut'],
  ]
  return await made(digest(version, pixels, ...stream.args), 'nut', args)
}

/** The same for a stream that has no encoder in FFmpeg. */
async function makeWritten(written, version) {
  const bytes = writeVc1(written)
  const elementary = path.join(folder, `${digest(bytes)}.${written.profile === 'advanced' ? 'vc1' : 'rcv'}`)
  mkdirSync(folder, { recursive: true })
  if (!existsSync(elementary)) keep(elementary, (partial) => writeFileSync(partial, bytes))
  const copy = ['-c:v', 'copy', '-fflags', '+bitexact', '-f', 'nut']
  // The setts filter computes with the time base of the input, but its packets have that of the output. They are the same
  // for two files of one muxer, so the first gets any times.
  const counted = ['-i', elementary, '-bsf:v', 'setts=pts=N:dts=N', ...copy]
  const untimed = await made(digest(version, ...counted), 'nut', counted)
  const times = timesOfVc1(written)
  return await made(digest(version, untimed, times), 'nut', ['-i', untimed, '-bsf:v', times, ...copy])
}

/** Puts the container's packet filter before that of the treatment. */
function filtered(output, filter) {
  if (!filter) return output
  const at = output.indexOf('-bsf:v')
  if (at < 0) return ['-bsf:v', filter, ...output]
  return output.with(at + 1, `${filter},${output[at + 1]}`)
}

/** Edits an HEVC stream without reordering, to be put into a container afterwards. */
async function makeElementary(source, edit, version) {
  const args = ['-i', source, '-c:v', 'copy', '-bsf:v', 'dump_extra=freq=keyframe', '-f', 'hevc']
  return await made(digest(version, source, String(edit), edits), 'hevc', args, { edit })
}

/** Makes the file of one combination unless it exists. @returns the file */
export async function makeFile({ stream, container, treatment }, source, version) {
  const {
    input = [],
    output = [],
    pipe = false,
    sound = false,
    joined = false,
    elementary,
    edit,
    recipe = '',
  } = treatment
  const args = [...input]
  if (joined) {
    const list = path.join(folder, `${digest(source)}.txt`)
    keep(list, (partial) =>
      writeFileSync(partial, `ffconcat version 1.0\nfile '${source}'\nfile '${source}'\n`),
    )
    args.push('-f', 'concat', '-safe', '0', '-i', list)
  } else if (elementary) {
    args.push(
      '-f',
      'hevc',
      '-r',
      String(picture.rate),
      '-i',
      await makeElementary(source, elementary, version),
    )
  } else {
    args.push('-i', source)
  }
  if (sound) {
    const seconds = picture.frames / picture.rate
    args.push('-f', 'lavfi', '-i', `sine=duration=${seconds}:sample_rate=48000`, '-map', '0:v', '-map', '1:a')
    args.push('-c:a', container.audio)
  }
  args.push(
    '-c:v',
    'copy',
    ...filtered(output, container.filtered?.includes(stream.codec) === false ? '' : container.filter),
    '-fflags',
    '+bitexact',
    '-f',
    container.muxer,
  )
  const name = digest(version, source, container.name, JSON.stringify(args), String(edit), recipe, edits)
  return await made(`${name}-${stream.name.split('(')[0]}`, container.extension, args, { pipe, edit })
}

/** Two combinations may have the same recipe: the second waits for the file of the first, by the file's name. */
const making = new Map()

async function made(name, extension, args, options = {}) {
  const file = path.join(folder, `${name}.${extension}`)
  if (!making.has(file)) making.set(file, existsSync(file) ? file : make(file, args, options))
  return await making.get(file)
}

/**
 * @param {string} file
 * @param {string[]} args
 * @param {{ pipe?: boolean, edit?: (bytes: Buffer) => Buffer }} options
 */
async function make(file, args, { pipe = false, edit }) {
  const partial = `${file}.${process.pid}.partial`
  const piped = await ffmpeg([...args, '-y', pipe ? 'pipe:1' : partial], pipe)
  if (pipe) writeFileSync(partial, piped)
  if (edit) writeFileSync(partial, edit(readFileSync(partial)))
  renameSync(partial, file)
  return file
}

function ffmpeg(args, pipe) {
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', ['-v', 'error', ...args], {
      stdio: ['ignore', pipe ? 'pipe' : 'ignore', 'pipe'],
      env: { ...process.env, SVT_LOG: '1' },
    })
    const written = []
    let said = ''
    child.stdout?.on('data', (chunk) => written.push(chunk))
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(written))
      else reject(new Error(`ffmpeg ${args.join(' ')}\n${said.trim()}`))
    })
  })
}

function keep(file, write) {
  const partial = `${file}.${process.pid}.partial`
  write(partial)
  renameSync(partial, file)
}

function digest(...parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 16)
}

/** yuv420p frames with moving waves in all planes, and the frame's number as bars across the upper quarter. */
function drawing() {
  const { width, height, frames, bars } = picture
  const half = { width: width / 2, height: height / 2 }
  const bytes = Buffer.alloc(frames * (width * height + 2 * half.width * half.height))
  let at = 0
  const plane = (size, value) => {
    for (let y = 0; y < size.height; y += 1) for (let x = 0; x < size.width; x += 1) bytes[at++] = value(x, y)
  }
  for (let n = 0; n < frames; n += 1) {
    plane({ width, height }, (x, y) => {
      if (y < height / 4) return (n >> Math.floor((x * bars) / width)) & 1 ? 235 : 16
      return 126 + 90 * Math.sin((x + 3 * n) / 17) * Math.cos((y + 2 * n) / 11)
    })
    plane(half, (x, y) => 128 + 60 * Math.sin((x + n) / 9 + y / 13))
    plane(half, (x, y) => 128 + 60 * Math.cos((y - n) / 7 + x / 19))
  }
  return bytes
}
