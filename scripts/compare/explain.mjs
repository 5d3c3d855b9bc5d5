// Which differences are known ones, and the table of them all. Pure.

import { isToldDamage } from './judge.mjs'

/**
 * Gives every difference of every result its `reason`, '' where none is known. `avcodec`: the library's major version of it.
 * Returns { same, known, unknown: results, stale: entries of `known` that fit videos of which none differs any more }.
 */
export function explain(results, known, avcodec) {
  const fitting = new Set()
  const used = new Set()
  for (const result of results) {
    const entries = known.filter(
      (entry) => entry.video.test(result.name) && (entry.avcodec ?? [avcodec]).includes(avcodec),
    )
    for (const entry of entries) fitting.add(entry)
    for (const difference of result.differs) {
      const entry = entries.find(({ what }) => what.includes(difference.what))
      if (entry) used.add(entry)
      difference.reason = entry?.reason ?? damage(result, difference)
    }
  }
  const differing = results.filter(({ differs }) => differs.length > 0)
  const unknown = differing.filter(({ differs }) => differs.some(({ reason }) => reason === ''))
  return {
    same: results.filter(({ differs }) => differs.length === 0),
    known: differing.filter((result) => !unknown.includes(result)),
    unknown,
    stale: [...fitting].filter((entry) => !used.has(entry) && !entry.chance),
  }
}

/** Of videos that were made here it is known what is right, so damage is no excuse there. */
function damage({ bars, ours, peer }, difference) {
  return !bars && isToldDamage(difference, ours, peer) ? 'damaged, and the warnings say so' : ''
}

/** Rows for a table: a line for each kind of difference of a video, with the first that was found of it. */
export function rows(results) {
  return results.flatMap(({ name, runs, differs }) =>
    groups(differs).map((alike) => {
      const [{ what, detail, reason }] = alike
      const asked = alike.flatMap(({ run }) => (run === undefined ? [] : [question(runs[run])]))
      return [name, what, shortened(detail), asked.join(', '), reason || 'NOT KNOWN']
    }),
  )
}

function groups(differs) {
  const found = new Map()
  for (const difference of differs) {
    const kind = `${difference.what} ${difference.reason}`
    found.set(kind, [...(found.get(kind) ?? []), difference])
  }
  return [...found.values()]
}

function question({ frames, start, end }) {
  return start === undefined ? `${frames}` : `${frames} of ${start}–${end} s`
}

function shortened(text) {
  return text.length > 90 ? `${text.slice(0, 89)}…` : text
}
