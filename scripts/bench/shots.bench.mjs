// npm run bench shots: finds the cuts of generated videos, whose cuts are known; with --peers, PySceneDetect's content
// detector does so too, with its defaults.
//
// Ours also makes the clip of every shot, which PySceneDetect does not. Both have all cores, one video at a time, and take
// turns; the fastest run of each counts. A cut counts as found within two frames of where it is.

import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { videosWithCuts } from './cuts.mjs'
import { report, round } from './report.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const venv = path.join(here, '../../.cache/bench-shots')
const NEAR = 2.5

const usage = `npm run bench shots -- [OPTIONS]
  --videos N       how many (default 12)
  --seconds N      length of each (default 40)
  --size WxH       of the pictures (default 640x360)
  --seed N         of the videos (default 1)
  --threshold LIST ours with other thresholds than 14 as well
  --runs N         of each method over each video; the fastest counts (default 3)
  --min N          minimum length of a shot in seconds (default 0.5)
  --peers          make a Python environment with PySceneDetect if there is none, and compare`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      videos: { type: 'string', default: '12' },
      seconds: { type: 'string', default: '40' },
      size: { type: 'string', default: '640x360' },
      seed: { type: 'string', default: '1' },
      threshold: { type: 'string', default: '14' },
      min: { type: 'string', default: '0.5' },
      runs: { type: 'string', default: '3' },
      peers: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const videos = videosWithCuts({
    count: Number(values.videos),
    seconds: Number(values.seconds),
    size: values.size,
    seed: Number(values.seed),
  })
  const contenders = values.threshold.split(',').map((threshold) => ({
    name: `cosmos-embed, threshold ${threshold}`,
    find: (file) => ours(file, { threshold: Number(threshold), minSeconds: Number(values.min) }),
  }))
  if (values.peers) contenders.push({ name: 'PySceneDetect ContentDetector', find: peer() })

  const totals = contenders.map(() => ({
    found: 0,
    wrong: 0,
    missed: 0,
    seconds: 0,
    cpuSeconds: 0,
    frames: 0,
    videos: [],
  }))
  for (const { file, cuts, frames, rate } of videos) {
    const runs = Array.from({ length: Number(values.runs) }, () => contenders.map(({ find }) => find(file)))
    for (const index of contenders.keys()) {
      const given = runs[0][index].cuts
      const seconds = Math.min(...runs.map((run) => run[index].seconds))
      const cpuSeconds = Math.min(...runs.map((run) => run[index].cpuSeconds))
      const { found, wrong, missed } = compare(cuts, given, NEAR / rate)
      const total = totals[index]
      total.found += found
      total.wrong += wrong.length
      total.missed += missed.length
      total.seconds += seconds
      total.cpuSeconds += cpuSeconds
      total.frames += frames
      total.videos.push({ file: path.basename(file), found, wrong, missed, seconds, cpuSeconds })
    }
  }
  const rows = totals.map(({ found, wrong, missed, seconds, cpuSeconds, frames }, index) => ({
    method: contenders[index].name,
    cuts: found + missed,
    precision: round(found / Math.max(found + wrong, 1), 3),
    recall: round(found / Math.max(found + missed, 1), 3),
    F1: round((2 * found) / (2 * found + wrong + missed), 3),
    'frames/s': Math.round(frames / seconds),
    'it ÷ ours': round(seconds / totals[0].seconds),
    'CPU s': round(cpuSeconds),
    'CPU ÷ ours': round(cpuSeconds / totals[0].cpuSeconds),
  }))
  report('shots', rows, {
    videos: totals.map((total, index) => ({ detector: contenders[index].name, ...total })),
  })
}

/** Matches each cut with the nearest one that was found and is not taken. */
function compare(cuts, given, near) {
  const left = [...given]
  const missed = []
  for (const cut of cuts) {
    const [best] = left
      .map((time, index) => ({ index, distance: Math.abs(time - cut) }))
      .sort((a, b) => a.distance - b.distance)
    if (best && best.distance <= near) left.splice(best.index, 1)
    else missed.push(round(cut, 3))
  }
  return { found: cuts.length - missed.length, wrong: left.map((time) => round(time, 3)), missed }
}

function ours(file, shots) {
  const job = { files: [file], threads: availableParallelism(), shots }
  return lastLine(process.execPath, [path.join(here, 'shots-worker.mjs'), JSON.stringify(job)])
}

/** @returns the function that runs PySceneDetect in its virtual environment, which the first use creates */
function peer() {
  const python = path.join(venv, 'bin/python')
  if (!existsSync(python)) {
    console.error('making a Python environment for PySceneDetect in .cache/bench-shots …')
    /** @type {[string, string[]][]} */
    const steps = [
      ['python3', ['-m', 'venv', venv]],
      [python, ['-m', 'pip', 'install', '--quiet', '-r', path.join(here, 'peers/shots-requirements.txt')]],
    ]
    for (const [command, args] of steps) {
      if (spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0) continue
      rmSync(venv, { recursive: true, force: true })
      throw new Error(`could not make the peer's environment: ${command} ${args.join(' ')} failed`)
    }
  }
  return (file) => lastLine(python, [path.join(here, 'peers/shots.py'), file])
}

function lastLine(command, args) {
  const { status, stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0)
    throw new Error(`${path.basename(command)} ${path.basename(args[0])} ended with ${status}`)
  return JSON.parse(stdout.trim().split('\n').at(-1))
}
