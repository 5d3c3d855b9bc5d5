// Makes the seed corpus of each target: small files of many codecs and containers. Kept in .cache/fuzz/seeds.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { containers, streams } from '../compare/streams.mjs'
import { headerStreams } from './streams.mjs'

const cache = fileURLToPath(new URL('../../.cache/fuzz', import.meta.url))

/** Short and small, so that a target runs hundreds of them a second. */
const source = ['-f', 'lavfi', '-i', 'testsrc2=s=64x64:r=25:d=0.36']
const still = ['-f', 'lavfi', '-i', 'testsrc2=s=24x16:r=1:d=1', '-frames:v', '1']
const plain = ['-fflags', '+bitexact', '-flags:v', '+bitexact', '-threads', '1']

/** Kind of seeds → the function that makes them in a folder. A target without a line here begins with nothing. */
const kinds = {
  video: makeVideos,
  picture: makePictures,
  headers: makeHeaders,
  messages: (folder, programs) => writtenSeeds(folder, programs, 'messages'),
}
const kindOf = {
  clip: 'video',
  container: 'video',
  picture: 'picture',
  headers: 'headers',
  messages: 'messages',
}

/**
 * Makes the seeds of a target unless they exist. `programs` is the folder with fuzz_seeds.
 *
 * @returns {Promise<string>} their folder
 */
export async function seedsOf(target, programs) {
  const kind = kindOf[target]
  if (kind === undefined) return folderNamed(path.join(cache, 'seeds', 'none'))
  const folder = path.join(cache, 'seeds', `${kind}-${recipe()}`)
  if (existsSync(folder)) return folder
  const partial = folderNamed(`${folder}.${process.pid}`)
  console.error(`making the seed corpus "${kind}"`)
  await kinds[kind](partial, programs)
  renameSync(partial, folder)
  return folder
}

// The seeds of messages are what these files make of them: others would only be refused.
const written = [
  'seeds.cc',
  'targets/messages.cc',
  'message_seeds.cc',
  '../isolation/messages.cc',
  '../isolation/gpu_messages.cc',
].map((file) => `../../native/fuzz/${file}`)

/** What the seeds are made of: ffmpeg's version and the lists in this folder and in scripts/compare. */
function recipe() {
  const { stdout, error } = spawnSync('ffmpeg', ['-version'], { encoding: 'utf8' })
  if (error) throw new Error(`there is no ffmpeg program to make the seed corpus with: ${error.message}`)
  const hash = createHash('sha256').update(stdout)
  for (const file of ['seeds.mjs', 'streams.mjs', '../compare/streams.mjs', ...written]) {
    hash.update(readFileSync(new URL(file, import.meta.url)))
  }
  return hash.digest('hex').slice(0, 12)
}

function folderNamed(folder) {
  mkdirSync(folder, { recursive: true })
  return folder
}

async function makeVideos(folder, programs) {
  // Odd sizes crop the comparison's picture, which is larger.
  const usable = Object.values(streams).filter(({ name }) => !name.endsWith('-odd'))
  /** @type {[string, string[]][]} */
  const files = usable.map((stream) => [`${stream.name}.mkv`, [...stream.args, '-f', 'matroska']])
  for (const container of Object.values(containers)) {
    for (const codec of container.codecs) {
      const stream = usable.find(
        (each) => each.codec === codec && (container.reorders !== false || !each.reorders),
      )
      if (stream) {
        files.push([`${codec}.${container.extension}`, [...stream.args, '-f', container.muxer]])
      }
    }
  }
  const h264 = streams['h264-b'].args
  const vp9 = streams['vp9-hidden'].args
  files.push(
    ['fragments.mp4', [...h264, '-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4']],
    ['dash.mp4', [...h264, '-movflags', 'dash+frag_keyframe+global_sidx', '-f', 'mp4']],
    ['index-first.mp4', [...h264, '-movflags', 'faststart', '-metadata', 'title=a', '-f', 'mp4']],
    ['edits.mp4', ['-ss', '0.15', ...h264, '-f', 'mp4']],
    ['vp9.mp4', [...vp9, '-f', 'mp4']],
    ['clusters.webm', [...vp9, '-cluster_time_limit', '80', '-metadata', 'a=b', '-f', 'webm']],
    ['keyframes.flv', [...h264, '-flvflags', 'add_keyframe_index', '-f', 'flv']],
    ['a.gif', ['-f', 'gif']],
    ['a.apng', ['-f', 'apng']],
    ['a.y4m', ['-pix_fmt', 'yuv420p', '-f', 'yuv4mpegpipe']],
    ['titled.asf', [...streams['wmv2-p'].args, '-metadata', 'title=b', '-f', 'asf']],
  )
  await inLanes(
    files.map(
      ([name, args]) =>
        () =>
          ffmpeg([...source, ...args, ...plain], path.join(folder, name)),
    ),
  )
  await writtenSeeds(folder, programs, 'video')
}

async function makePictures(folder, programs) {
  const png = (format) => ['-pix_fmt', format, '-c:v', 'png', '-f', 'image2']
  const jpeg = (format) => ['-pix_fmt', format, '-c:v', 'mjpeg', '-f', 'image2']
  const webp = (...args) => ['-c:v', 'libwebp', ...args, '-f', 'webp']
  const files = /** @type {[string, string[]][]} */ ([
    ...['rgb24', 'rgba', 'gray', 'ya8', 'pal8', 'monob', 'rgb48be', 'rgba64be', 'gray16be'].map((format) => [
      `${format}.png`,
      png(format),
    ]),
    ['paeth.png', ['-pred', 'paeth', ...png('rgb24')]],
    ...['yuvj420p', 'yuvj422p', 'yuvj444p', 'gray'].map((format) => [`${format}.jpg`, jpeg(format)]),
    ['lossy.webp', webp('-quality', '50')],
    ['lossless.webp', webp('-lossless', '1')],
    ['alpha.webp', ['-vf', 'format=yuva420p', ...webp('-quality', '50')]],
    ['animated.webp', ['-c:v', 'libwebp_anim', '-f', 'webp']],
  ])
  await inLanes(
    files.map(
      ([name, args]) =>
        () =>
          ffmpeg([...still, ...args], path.join(folder, name)),
    ),
  )
  await writtenSeeds(folder, programs, 'picture')
}

async function makeHeaders(folder) {
  const work = folderNamed(`${folder}.work`)
  try {
    const usable = Object.values(streams).filter(({ name }) => !name.endsWith('-odd'))
    await inLanes(
      usable.map((stream) => async () => {
        const muxer = { vp8: 'ivf', vp9: 'ivf', av1: 'obu', mpeg4: 'm4v', mpeg1: 'mpeg1video' }[stream.codec]
        const raw = { mpeg2: 'mpeg2video', h264: 'h264', hevc: 'hevc', mjpeg: 'mjpeg' }[stream.codec]
        const format = muxer ?? raw
        if (format === undefined) return
        const file = path.join(work, stream.name)
        await ffmpeg([...source, ...stream.args, ...plain, '-f', format], file)
        if (!existsSync(file)) return
        for (const [form, bytes] of headerStreams(stream.codec, readFileSync(file))) {
          writeFileSync(path.join(folder, `${stream.name}-${form}`), bytes)
        }
      }),
    )
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function writtenSeeds(folder, programs, kind) {
  const { status, error } = spawnSync(path.join(programs, 'fuzz_seeds'), [folder, kind], { stdio: 'inherit' })
  if (status !== 0) throw new Error(`fuzz_seeds failed: ${error?.message ?? `exit ${status}`}`)
}

/** Runs ffmpeg. An encoder that this ffmpeg lacks costs only its own seed. */
function ffmpeg(args, file) {
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', ['-v', 'error', '-y', ...args, file], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, SVT_LOG: '1' },
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) {
        rmSync(file, { force: true })
        console.error(`no seed ${path.basename(file)}: ${said.trim().split('\n')[0]}`)
      }
      resolve(undefined)
    })
  })
}

async function inLanes(jobs) {
  const lane = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job()
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
}

/** The files of a folder, for messages and for the replay programs. */
export function filesIn(folder) {
  return readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name))
}
