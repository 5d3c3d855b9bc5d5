// Reports the results of a benchmark: the machine, a table, and a JSON file with the same numbers.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { table } from '../../dist/cli/table.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

export function machine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    version: JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).version,
    date: new Date().toISOString().slice(0, 10),
  }
}

/** @type {(name: string, rows: object[], extra: object) => void} */
let onReport = () => {}

/** Has `listener` called with the name, rows and further facts of every report. */
export function listen(listener) {
  onReport = listener
}

/**
 * Prints `rows` (objects with the same keys) and writes them with `extra` to NAME.json in bench-output, or in the folder that
 * BENCH_OUTPUT names.
 */
export function report(name, rows, extra = {}) {
  onReport(name, rows, extra)
  const { cpu, cores, memoryGiB, node, version, date } = machine()
  console.log(
    `\n${name}: cosmos-embed ${version}, ${cores} × ${cpu}, ${memoryGiB} GiB, Node ${node}, ${date}\n`,
  )
  const columns = Object.keys(rows[0] ?? {})
  process.stdout.write(table([columns, ...rows.map((row) => columns.map((column) => row[column] ?? ''))]))
  const folder = process.env.BENCH_OUTPUT ?? path.join(root, 'bench-output')
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `${name}.json`)
  writeFileSync(file, `${JSON.stringify({ machine: machine(), rows, ...extra }, null, 2)}\n`)
  console.log(`\nwritten to ${path.relative(process.cwd(), file)}`)
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The `p` quantile (0 to 1) by the nearest-rank method. */
export function percentile(values, p) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)]
}

export function round(value, digits = 2) {
  return Number(value.toFixed(digits))
}
