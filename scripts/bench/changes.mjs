// What changed between two saved measurements, beyond the noise of their runs.

import { machineId } from './history.mjs'

/** A change that is smaller than this is not worth a line, however sure it is. */
const smallest = 0.02
/** Two sets of runs that are alike may differ by chance this often. */
const chance = 0.05
/** Comparable across machines: both sides of a ratio ran on the same one. */
const isRatio = (metric) => /÷|×|cosine|R@1|^decoded$|^discarded$|^seeks$/.test(metric)
const isBetterLower = (metric) => /\bms\b|MiB(?!\/)|\bMB\b|\bs\/clip|\|Δ\||^decoded$/.test(metric)
const isBetterHigher = (metric) => /\/s\b|÷|×|cosine|R@1|peak$/.test(metric)

/**
 * A metric changed when no run of one side lies within the runs of the other, and that many runs do not part by chance.
 *
 * @param {import('./history.mjs').Saved} before
 * @param {import('./history.mjs').Saved} after
 */
export function changes(before, after) {
  const sameMachine = machineId(before.machine) === machineId(after.machine)
  const found = { sameMachine, compared: 0, tooFewRuns: 0, onOneSide: [], changed: [] }
  for (const table of union(before.tables, after.tables)) {
    const [rowsBefore, rowsAfter] = [before.tables[table], after.tables[table]]
    if (!rowsBefore || !rowsAfter) {
      found.onOneSide.push(table)
      continue
    }
    for (const row of union(rowsBefore, rowsAfter)) {
      const [a, b] = [rowsBefore[row], rowsAfter[row]]
      if (!a || !b) found.onOneSide.push(`${table}: ${row}`)
      else compareRow(found, `${table}: ${row}`, a, b)
    }
  }
  return found
}

function compareRow(found, where, before, after) {
  for (const metric of Object.keys(before).filter((each) => after[each])) {
    if (!found.sameMachine && !isRatio(metric)) continue
    const [a, b] = [before[metric], after[metric]]
    found.compared += 1
    if (2 / combinations(a.length + b.length, a.length) > chance) {
      found.tooFewRuns += 1
      continue
    }
    const isApart = Math.max(...a) < Math.min(...b) || Math.max(...b) < Math.min(...a)
    const change = relative(median(a), median(b))
    if (!isApart || Math.abs(change) < smallest) continue
    found.changed.push({
      where,
      metric,
      before: range(a),
      after: range(b),
      change,
      verdict: verdict(metric, change),
    })
  }
}

function verdict(metric, change) {
  if (isBetterLower(metric)) return change < 0 ? 'better' : 'worse'
  if (isBetterHigher(metric)) return change > 0 ? 'better' : 'worse'
  return 'other'
}

function relative(a, b) {
  if (a === 0) return b === 0 ? 0 : Math.sign(b) * Number.POSITIVE_INFINITY
  return (b - a) / Math.abs(a)
}

function range(runs) {
  return { median: median(runs), least: Math.min(...runs), most: Math.max(...runs), runs: runs.length }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function combinations(n, k) {
  let result = 1
  for (let i = 1; i <= k; i += 1) result = (result * (n - k + i)) / i
  return result
}

function union(a, b) {
  return new Set([...Object.keys(a), ...Object.keys(b)])
}

/** @returns {string[]} lines for a reader, the worst first */
export function describe({ sameMachine, compared, tooFewRuns, onOneSide, changed }) {
  const order = { worse: 0, other: 1, better: 2 }
  const sorted = [...changed].sort(
    (a, b) => order[a.verdict] - order[b.verdict] || Math.abs(b.change) - Math.abs(a.change),
  )
  const span = ({ median: middle, least, most }) => `${middle} (${least}–${most})`
  return [
    ...(sameMachine ? [] : ['two machines: only ratios, counts and similarities are compared']),
    ...sorted.map(
      ({ where, metric, before, after, change, verdict: word }) =>
        `${word}: ${where}, ${metric}: ${span(before)} → ${span(after)}, ${percent(change)}`,
    ),
    ...onOneSide.map((each) => `only on one side: ${each}`),
    `${changed.length} of ${compared} numbers changed beyond the noise of their runs`,
    ...(tooFewRuns > 0
      ? [`${tooFewRuns} numbers have too few runs to tell: four on each side do (--repeat, or --save again)`]
      : []),
  ]
}

function percent(change) {
  return Number.isFinite(change) ? `${change > 0 ? '+' : ''}${(100 * change).toFixed(1)} %` : 'from 0'
}
