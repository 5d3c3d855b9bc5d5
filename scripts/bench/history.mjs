// Keeps the numbers of benchmarks by commit and machine, in bench-output/saved, where `npm run bench compare` finds them.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** Columns that say what was measured; in all others are the measurements. */
const labels = new Set([
  ...[
    'clip',
    'codec',
    'gop',
    'mode',
    'decoder',
    'decoders',
    'callers',
    'load',
    'method',
    'texts',
    'vectors',
    'query',
    'status',
  ],
  ...['tolerance s', 'model', 'precision', 'batch', 'program', 'run', 'stream', 'drop', 'step'],
])

/** Whether a column of a report says what was measured. */
export function isLabel(column) {
  return labels.has(column)
}

/**
 * @typedef {Record<string, number[]>} Metrics every run's value, by column
 * @typedef {Record<string, Record<string, Metrics>>} Tables by name and arguments, their rows by labels
 * @typedef {{ format: 1, commit: string, changed: boolean, machine: object, tables: Tables }} Saved where `changed` tells
 *   that the working tree differed from the commit
 */

/** @returns {Record<string, Metrics>} what one run measured: every metric has one value */
export function oneRun(rows) {
  const byLabels = {}
  for (const row of rows) {
    const [named, measured] = [true, false].map((is) =>
      Object.entries(row).filter(([column]) => labels.has(column) === is),
    )
    const key = named.map(([, value]) => value).join(' · ')
    if (key in byLabels) throw new Error(`two rows are labelled "${key}": add their column to the labels`)
    byLabels[key] = Object.fromEntries(measured.flatMap(([column, value]) => numbers(column, value)))
  }
  return byLabels
}

/** "12.5 + 3" is two numbers, "80 %" is one, and text is none. */
function numbers(column, value) {
  const parts = String(value)
    .split(' + ')
    .map((part) => (/^-?[\d.]+( %)?$/.test(part) ? Number.parseFloat(part) : Number.NaN))
  if (parts.some(Number.isNaN)) return []
  return parts.map((number, index) => [parts.length === 1 ? column : `${column} (${index + 1})`, [number]])
}

/** Of what decides about speed, so that runs of a month ago on this machine are found again. */
export function machineId({ cpu, cores, memoryGiB }) {
  return createHash('sha256').update(`${cpu} ${cores} ${memoryGiB}`).digest('hex').slice(0, 8)
}

/** Writes bench-output/saved/COMMIT-MACHINE.json, with the runs that it held. @returns the file's path */
export function save(root, machine, tables) {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const commit = git('rev-parse', 'HEAD')
  const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
  const folder = path.join(root, 'bench-output', 'saved')
  mkdirSync(folder, { recursive: true })
  const name = `${commit.slice(0, 10)}${changed ? '-changed' : ''}-${machineId(machine)}.json`
  const file = path.join(folder, name)
  const held = existsSync(file) ? read(file).tables : {}
  const saved = { format: 1, commit, changed, machine, tables: merge(held, tables) }
  writeFileSync(file, `${JSON.stringify(saved, null, 2)}\n`)
  return file
}

/** @returns both, every metric with the runs of `older` before those of `newer` */
export function merge(older, newer) {
  const merged = structuredClone(older)
  for (const [table, rows] of Object.entries(newer)) {
    merged[table] ??= {}
    for (const [row, metrics] of Object.entries(rows)) {
      merged[table][row] ??= {}
      for (const [metric, runs] of Object.entries(metrics)) {
        merged[table][row][metric] = [...(merged[table][row][metric] ?? []), ...runs]
      }
    }
  }
  return merged
}

/** A file, or the start of a commit's hash, of which there must be one measurement. @returns {Saved} */
export function load(root, name) {
  if (existsSync(name)) return read(name)
  const folder = path.join(root, 'bench-output', 'saved')
  const files = existsSync(folder) ? readdirSync(folder) : []
  const found = files.filter((file) => file.startsWith(name))
  if (found.length === 1) return read(path.join(folder, found[0]))
  const reason = found.length === 0 ? `none; there are: ${files.join(', ') || 'none'}` : found.join(', ')
  throw new Error(`${name}: expected one file of bench-output/saved, found ${reason}`)
}

function read(file) {
  const saved = JSON.parse(readFileSync(file, 'utf8'))
  if (saved.format !== 1) throw new Error(`${file}: format ${saved.format}, expected 1; measure again`)
  return saved
}
