// The tables of docs/performance.md, made from saved results: `npm run bench NAME -- --record` keeps a measurement in
// scripts/bench/results/NAME.json, and `npm run bench docs` writes the tables between the markers of that name. The prose is
// the document's own.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { isLabel } from './history.mjs'

/** Of a table, so many measurements are kept. The document shows the last one and, row by row, the one before. */
const KEPT = 4

const startOf = (name) => `<!-- results: ${name} -->`
const end = '<!-- end of results -->'
const block = /<!-- results: ([\w-]+) -->\n([\s\S]*?)<!-- end of results -->/g
/** The line below the head of a table, and that head. */
const table = /^(\|.*\|)[ \t]*\n\|[-| :]+\|[ \t]*$/gm

/**
 * @typedef {string | number | number[]} Cell a list has the value of every repetition
 * @typedef {{ command?: string, machine?: import('./history.mjs').Machine & { node: string, version: string, date: string },
 *   versions?: Record<string, string>, columns: string[], rows: Cell[][] }} Measurement without a command where it was
 *   written down by hand
 * @typedef {{ format?: 1, measurements: Measurement[] }} Results the newest first
 */

const folderOf = (root) => path.join(root, 'scripts', 'bench', 'results')
const fileOf = (root, name) => path.join(folderOf(root), `${name}.json`)
const documentOf = (root) => path.join(root, 'docs', 'performance.md')

/** @returns {Measurement} of the rows of a report, which `repetition` is added to where there were some before */
export function asMeasurement(rows, about, repetition) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cells = rows.map((row) => columns.map((column) => row[column] ?? ''))
  if (!repetition) return { ...about, columns, rows: cells }
  const added = cells.map((row) => {
    const before = repetition.rows.find((other) => keyOf(columns, other) === keyOf(columns, row)) ?? []
    return row.map((cell, index) => (typeof cell === 'number' ? [before[index] ?? [], cell].flat() : cell))
  })
  return { ...about, columns, rows: added }
}

/** Keeps a measurement. @returns the file's path */
export function record(root, name, measurement) {
  mkdirSync(folderOf(root), { recursive: true })
  const file = fileOf(root, name)
  const older = existsSync(file) ? read(root, name).measurements : []
  write(root, name, [measurement, ...older].slice(0, KEPT))
  return file
}

/** One row a line, so that a change of a row is a change of a line. */
function write(root, name, measurements) {
  const texts = measurements.map(({ rows, ...about }) => {
    const lines = rows.map((row) => `      ${JSON.stringify(row)}`).join(',\n')
    return `    ${JSON.stringify(about).slice(0, -1)}, "rows": [\n${lines}\n    ]}`
  })
  const text = `{\n  "format": 1,\n  "measurements": [\n${texts.join(',\n')}\n  ]\n}\n`
  writeFileSync(fileOf(root, name), text)
}

function read(root, name) {
  const results = JSON.parse(readFileSync(fileOf(root, name), 'utf8'))
  if (results.format !== 1) throw new Error(`${fileOf(root, name)}: format ${results.format}, expected 1`)
  return results
}

/** @param {Results} results @returns what stands between the markers */
export function render({ measurements: [now, before] }) {
  const earlier = new Map((before?.rows ?? []).map((row) => [keyOf(before.columns, row), row]))
  const shared = before ? now.columns.filter((column) => before.columns.includes(column)) : []
  const rows = now.rows.flatMap((row) => {
    const former = earlier.get(keyOf(now.columns, row))
    if (!former) return [row.map(shown)]
    const cells = now.columns.map((column, index) => {
      if (index === 0) return `before${before.machine ? `, ${before.machine.date}` : ''}`
      const place = before.columns.indexOf(column)
      return shared.includes(column) && !isLabel(column) ? shown(former[place]) : ''
    })
    return [row.map(shown), cells]
  })
  const lines = [now.columns, now.columns.map(() => '---'), ...rows].map(asLine)
  return [...introduction(now, before), ...lines].join('\n')
}

function asLine(cells) {
  if (cells.every((cell) => cell === '---')) return `|${cells.join('|')}|`
  return `|${cells.map((cell) => (cell === '' ? ' ' : ` ${cell} `)).join('|')}|`
}

/** @param {Measurement} now @param {Measurement} [before] */
function introduction({ command, machine, versions, rows }, before) {
  if (!command) return []
  const peers = Object.entries(versions ?? {}).map(([name, version]) => `${name} ${version}`)
  const times = Math.max(...rows.flat().map((cell) => (Array.isArray(cell) ? cell.length : 1)))
  const sentences = [
    `\`${command}\`, ${placeOf(machine)}, cosmos-embed ${machine.version}, ${machine.date}.`,
    ...(peers.length > 0 ? [`Peers: ${peers.join(', ')}.`] : []),
    ...(times > 1 ? [`Medians of ${times} runs, with the least and the most.`] : []),
    ...(before?.machine && placeOf(before.machine) !== placeOf(machine)
      ? [`The numbers before are of ${placeOf(before.machine)}.`]
      : []),
  ]
  return [...sentences, '']
}

function placeOf({ cores, cpu, memoryGiB, node }) {
  return `${cores} cores of ${cpu}, ${memoryGiB} GiB, Node ${node}`
}

/** What a row is about: its labels or, in a table that was written by hand, its first cell. */
function keyOf(columns, row) {
  const named = row.filter((_, index) => isLabel(columns[index]))
  return (named.length > 0 ? named : row.slice(0, 1)).join(' · ').replaceAll(/\*\*|`|(?<=\d),(?=\d{3})/g, '')
}

function shown(cell) {
  if (!Array.isArray(cell))
    return typeof cell === 'string' && /^cosmos-embed/.test(cell) ? `**${cell}**` : cell
  const sorted = [...cell].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  const [least, most] = [sorted[0], sorted.at(-1)]
  return least === most ? median : `${Number(median.toPrecision(6))} (${least}–${most})`
}

/** @returns the document with the tables of its markers made anew, and what is wrong with markers and files */
export function rewritten(root) {
  const text = readFileSync(documentOf(root), 'utf8')
  const names = [...text.matchAll(block)].map(([, name]) => name)
  const files = existsSync(folderOf(root)) ? readdirSync(folderOf(root)) : []
  const problems = [
    ...names.filter((name) => !existsSync(fileOf(root, name))).map((name) => `${name}: there are no results`),
    ...names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${name}: two markers`),
    ...files
      .map((file) => path.basename(file, '.json'))
      .filter((name) => !names.includes(name))
      .map((name) => `scripts/bench/results/${name}.json: docs/performance.md has no "${startOf(name)}"`),
    ...[...text.replaceAll(block, '').matchAll(table)].map(
      ([, head]) => `docs/performance.md: no saved results make the table ${head}`,
    ),
  ]
  const made = text.replaceAll(block, (whole, name) =>
    existsSync(fileOf(root, name)) ? `${startOf(name)}\n${render(read(root, name))}\n${end}` : whole,
  )
  return { text, made, problems }
}

/** @returns sentences, none where docs/performance.md has what `npm run bench docs` would write */
export function documentProblems(root) {
  const { text, made, problems } = rewritten(root)
  if (text === made) return problems
  return [...problems, 'docs/performance.md differs from the saved results: run `npm run bench docs`']
}

/** Writes the tables. @returns problems */
export function writeDocument(root) {
  const { made, problems } = rewritten(root)
  writeFileSync(documentOf(root), made)
  return problems
}
