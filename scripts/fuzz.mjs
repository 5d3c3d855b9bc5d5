// Feeds mutated files, headers, pictures, requests and manifests to what reads them. docs/security.md has the results.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { table } from '../dist/cli/table.js'
import { buildNative, fuzzNative, nativeTargets, replayNative } from './fuzz/native.mjs'
import { check, loadScript, scriptTargets } from './fuzz/script-targets.mjs'

const usage = `npm run fuzz -- --minutes N [--target NAME]… [--seed S]
npm run fuzz -- --target NAME --replay FILE…

  --minutes N    how long each target runs, e.g. 20 or 0.5
  --target NAME  this target; may be repeated. Default: all, one after the other
  --seed S       a number from which all chance follows (default 1)
  --replay       runs the target once with each of these files
  --list         prints the names of the targets

Ends with 0 if nothing was found, with 1 otherwise. Findings are files in .cache/fuzz/findings.
`
const findings = fileURLToPath(new URL('../.cache/fuzz/findings', import.meta.url))
/** Milliseconds. No input of a script target takes a hundredth of it. */
const longestRound = 30_000

/** @satisfies {import('node:util').ParseArgsConfig['options']} */
const options = {
  minutes: { type: 'string' },
  target: { type: 'string', multiple: true, default: [] },
  seed: { type: 'string', default: '1' },
  replay: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
}

process.exitCode = await main()

async function main() {
  const all = [...nativeTargets(), ...scriptTargets()]
  let parsed
  try {
    parsed = parseArgs({ options, allowPositionals: true })
  } catch (error) {
    return wrong(error.message)
  }
  const { values, positionals } = parsed
  if (values.list) {
    process.stdout.write(`${all.join('\n')}\n`)
    return 0
  }
  const unknown = values.target.find((name) => !all.includes(name))
  if (unknown !== undefined) return wrong(`there is no target ${unknown}; there are: ${all.join(', ')}`)
  if (values.replay) {
    if (values.target.length !== 1 || positionals.length === 0)
      return wrong('--replay needs one --target and files')
    return await replay(values.target[0], positionals)
  }
  const minutes = Number(values.minutes)
  const seed = Number(values.seed)
  if (!(minutes > 0)) return wrong('--minutes needs a number above 0')
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 31)
    return wrong('--seed needs a whole number below 2^31')
  return await fuzz(values.target.length > 0 ? values.target : all, {
    seconds: Math.ceil(minutes * 60),
    seed,
  })
}

async function fuzz(names, { seconds, seed }) {
  const isNative = (name) => nativeTargets().includes(name)
  const build = names.some(isNative) ? buildNative() : undefined
  const rows = []
  for (const name of names) {
    console.error(`${name}: ${seconds} s`)
    rows.push(
      isNative(name)
        ? await fuzzNative(name, build, { seconds, seed })
        : await fuzzScript(name, seconds, seed),
    )
  }
  const native = rows.filter(({ target }) => isNative(target))
  const scripts = rows.filter(({ target }) => !isNative(target))
  for (const part of [native, scripts]) if (part.length > 0) process.stdout.write(`${printed(part)}\n`)
  return rows.every((row) => row.findings === 'none') ? 0 : 1
}

function printed(rows) {
  const columns = Object.keys(rows[0])
  const cell = (value) =>
    typeof value === 'number' && Number.isFinite(value) ? value.toLocaleString('en') : `${value}`
  return table([columns, ...rows.map((row) => columns.map((column) => cell(row[column])))])
}

async function fuzzScript(name, seconds, seed) {
  const state = new SharedArrayBuffer(4)
  const worker = new Worker(new URL('./fuzz/script-worker.mjs', import.meta.url), {
    workerData: { name, seed, until: Date.now() + seconds * 1000, state },
  })
  const { rounds, accepted, finding, input } = await ended(worker, new Int32Array(state))
  const row = { target: name, executions: rounds, accepted: accepted ?? Number.NaN, findings: 'none' }
  if (finding === undefined) return row
  console.error(`${name}, seed ${seed}, round ${rounds}: ${finding}`)
  const kept = path.join(findings, name)
  mkdirSync(kept, { recursive: true })
  const file = path.join(kept, `${seed}-${rounds}`)
  if (input) writeFileSync(file, input)
  return { ...row, findings: path.relative(process.cwd(), file) }
}

/**
 * The message of the thread, or what it did instead of sending one.
 * @param {Worker} worker
 * @param {Int32Array} rounds
 */
function ended(worker, rounds) {
  return new Promise((resolve, reject) => {
    let last = -1
    const watch = setInterval(() => {
      const round = Atomics.load(rounds, 0)
      if (round === last) finish({ rounds: round, finding: `no end after ${longestRound / 1000} s` })
      last = round
    }, longestRound)
    const finish = (result) => {
      clearInterval(watch)
      worker.terminate().then(() => resolve(result), reject)
    }
    worker.on('message', finish)
    worker.on('error', (error) => finish({ rounds: Atomics.load(rounds, 0), finding: String(error?.stack) }))
  })
}

async function replay(name, files) {
  if (nativeTargets().includes(name)) return (await replayNative(name, buildNative(), files)) === 0 ? 0 : 1
  const target = await loadScript(name)
  target.begin()
  try {
    for (const file of files) await check(target, readFileSync(file))
    return 0
  } catch (error) {
    console.error(String(error?.message))
    return 1
  } finally {
    target.end()
  }
}

function wrong(message) {
  process.stderr.write(`${message}\n\n${usage}`)
  return 2
}
