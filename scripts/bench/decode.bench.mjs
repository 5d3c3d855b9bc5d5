// npm run bench decode: takes eight frames out of a video; with --peers, PyAV and torchcodec do so too.
//
// "alone" is one clip at a time with the library's choice of threads; "busy" is one single-threaded clip per core. The
// decoders of one clip and mode take turns, and ratios are medians of pairs. On a machine that does other work too, compare
// the CPU seconds of our own decoder.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { profile } from './decode-profile.mjs'
import { worker } from './json-worker.mjs'
import { benchClip, codecs } from './media.mjs'
import { median, report, round } from './report.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const venv = path.join(here, '../../.cache/bench-peers')
const cores = availableParallelism()

const usage = `npm run bench decode -- [OPTIONS]
  --codec LIST     of ${codecs.join(', ')} (default h264)
  --size LIST      of 4k, 1080p, 720p (default 1080p)
  --gop LIST       keyframe distances (default 30,250)
  --seconds N      length of the clips (default 15)
  --clips N        clips of one measurement (default 4)
  --runs N         measurements of each (default 3)
  --tolerance LIST also ours with frameTolerance, in seconds
  --addon NAME=FILE also another build of the addon, under that name; repeatable
  --codecs         every codec with 8 and 10 bits, each size and a single keyframe, one clip at a time
  --profile        instead, where the time of one thread goes
  --peers          make a Python environment with PyAV and torchcodec if there is none, and compare`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      codec: { type: 'string', default: 'h264' },
      size: { type: 'string', default: '1080p' },
      gop: { type: 'string', default: '30,250' },
      seconds: { type: 'string', default: '15' },
      clips: { type: 'string', default: '4' },
      runs: { type: 'string', default: '3' },
      tolerance: { type: 'string', default: '' },
      addon: { type: 'string', multiple: true, default: [] },
      peers: { type: 'boolean', default: false },
      codecs: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const plan = { clips: Number(values.clips), runs: Number(values.runs) }
  const tolerances = values.tolerance === '' ? [] : values.tolerance.split(',').map(Number)
  const addons = values.addon.map((one) => /^([^=]+)=(.+)$/.exec(one)?.slice(1) ?? [one, one])
  if (values.profile) {
    const clips = clipsOf(values).map(({ codec, size, gop, file }) => ({
      name: `${codec} ${size} gop ${gop}`,
      file,
    }))
    return await profile(clips, plan.runs)
  }
  const peers = values.peers ? await peerEnvironment() : { names: [], versions: {} }

  const rows = []
  for (const clip of clipsOf(values)) {
    for (const mode of values.codecs ? ['alone'] : ['alone', 'busy']) {
      const contenders = [
        { name: 'cosmos-embed' },
        ...tolerances.map((tolerance) => ({ name: `cosmos-embed ±${tolerance} s`, tolerance })),
        ...addons.map(([name, addon]) => ({ name, addon: path.resolve(addon) })),
        ...peers.names.map((peer) => ({ name: peer, peer })),
      ]
      rows.push(...(await compare({ ...clip, mode, contenders, ...plan })))
    }
  }
  report(values.codecs ? 'decode-codecs' : 'decode', rows, { versions: peers.versions })
  console.log(
    Object.entries(peers.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  )
}

/** @returns the clips that the options ask for, made where they are missing */
function clipsOf(values) {
  if (values.codecs) return clipsOfCodecs(Number(values.seconds))
  const clips = []
  for (const codec of values.codec.split(',')) {
    for (const size of values.size.split(',')) {
      for (const gop of values.gop.split(',').map(Number)) {
        const file = benchClip({ codec, size, gop, seconds: Number(values.seconds) })
        clips.push({ codec, size, gop, file })
      }
    }
  }
  return clips
}

/** @returns for every codec a usual clip, and others that differ from it in one respect */
function clipsOfCodecs(seconds) {
  const ONE_KEYFRAME = 9999
  return codecs
    .filter((codec) => !codec.endsWith('-10'))
    .flatMap((codec) => [
      { codec, size: '1080p', gop: 30 },
      { codec: `${codec}-10`, size: '1080p', gop: 30 },
      { codec, size: '720p', gop: 30 },
      { codec, size: '4k', gop: 30 },
      { codec, size: '1080p', gop: ONE_KEYFRAME },
    ])
    .map((clip) => ({ ...clip, file: benchClip({ ...clip, seconds }) }))
}

async function compare({ codec, size, gop, file, mode, contenders, clips, runs }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-decode-'))
  try {
    const samples = contenders.map(() => [])
    for (let round = 0; round < runs; round += 1) {
      for (const [index, contender] of contenders.entries()) {
        const keep = round === 0 ? path.join(folder, String(index)) : undefined
        samples[index].push(await measure(contender, { file, mode, clips, keep }))
      }
    }
    const pixels = contenders.map((_, index) => readFileSync(path.join(folder, String(index))))
    return contenders.map(({ name }, index) => {
      const rates = samples[index].map(({ clipsPerSecond }) => clipsPerSecond)
      const ratios = rates.map((rate, round) => samples[0][round].clipsPerSecond / rate)
      const processor = samples[index].map(({ cpuSeconds }) => cpuSeconds)
      const processorRatios = processor.map((used, round) => used / samples[0][round].cpuSeconds)
      const { decoded = '', discarded = '', seeks = '' } = samples[index][0]
      return {
        clip: `${codec} ${size} gop ${gop}`,
        mode,
        decoder: name,
        'clips/s': round(median(rates)),
        'ours ÷ it': round(median(ratios)),
        'CPU s/clip': round(median(processor), 3),
        'CPU, it ÷ ours': round(median(processorRatios)),
        decoded,
        discarded,
        seeks,
        'peak MiB': Math.round(Math.max(...samples[index].map(({ rssMiB }) => rssMiB))),
        'mean |Δ|': round(meanDifference(pixels[0], pixels[index]), 3),
      }
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measure({ peer, tolerance, addon }, { file, mode, clips, keep }) {
  if (peer === undefined) {
    const busy = mode === 'busy'
    const job = { file, clips, concurrency: busy ? cores : 1, threads: busy ? 1 : cores, tolerance, keep }
    const env = addon === undefined ? process.env : { ...process.env, COSMOS_EMBED_ADDON: addon }
    return await worker(process.execPath, [path.join(here, 'decode-worker.mjs'), JSON.stringify(job)], env)
  }
  // When busy, Python runs one process per core, so that the interpreter's lock is not what is measured.
  const processes = mode === 'busy' ? cores : 1
  const threads = mode === 'busy' ? 1 : 0
  const share = Math.max(1, Math.round(clips / processes))
  const results = await Promise.all(
    Array.from({ length: processes }, (_, index) => {
      const job = { peer, file, clips: share, threads, keep: index === 0 ? keep : undefined }
      return worker(path.join(venv, 'bin/python'), [path.join(here, 'peers/decode.py'), JSON.stringify(job)])
    }),
  )
  return {
    clipsPerSecond: results.reduce((sum, { clipsPerSecond }) => sum + clipsPerSecond, 0),
    cpuSeconds: results.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / processes,
    rssMiB: results.reduce((sum, { rssMiB }) => sum + rssMiB, 0),
  }
}

/** @returns the peers that can be imported from their virtual environment, which the first use creates */
async function peerEnvironment() {
  const python = path.join(venv, 'bin/python')
  if (!existsSync(python)) {
    console.error(
      'making a Python environment for the peers in .cache/bench-peers (about 6 GB: torch brings CUDA along) …',
    )
    /** @type {[string, string[]][]} */
    const steps = [
      ['python3', ['-m', 'venv', venv]],
      [python, ['-m', 'pip', 'install', '--quiet', '-r', path.join(here, 'peers/requirements.txt')]],
    ]
    for (const [command, args] of steps) {
      if (spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status !== 0) {
        rmSync(venv, { recursive: true, force: true })
        throw new Error(`could not make the peers' environment: ${command} ${args.join(' ')} failed`)
      }
    }
  }
  const versions = {}
  const names = []
  for (const [name, module] of [
    ['needed', 'av'],
    ['pyav', 'av'],
    ['torchcodec', 'torchcodec'],
  ]) {
    const code = `import importlib.metadata as m; import ${module}; print(m.version("${module}"))`
    const probe = spawnSync(python, ['-c', code], { encoding: 'utf8' })
    if (probe.status === 0) {
      names.push(name)
      versions[module] = probe.stdout.trim()
    } else {
      console.error(`left out ${name}: ${probe.stderr.trim().split('\n').at(-1)}`)
    }
  }
  return { names, versions }
}

function meanDifference(a, b) {
  if (a.length !== b.length) return Number.NaN
  let sum = 0
  for (let index = 0; index < a.length; index += 1) sum += Math.abs(a[index] - b[index])
  return sum / a.length
}
