// Finds the reasons for differences among the known ones, and makes a table of all. Pure functions.

import { isReportedDamage } from './judge.mjs'

/**
 * Sets the `reason` of every difference, '' where none is known. `avcodec` is the major version of the library's libavcodec.
 *
 * @returns the results that are the `same`, have a `known` or an `unknown` difference, and `stale`: the entries of `known` whose videos no longer differ
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

/** Generated videos are excluded: what they must show is known, so damage explains nothing there. */
function damage({ bars, library, peer }, difference) {
  return !bars && isReportedDamage(difference, library, peer) ? 'damaged, and the warnings say so' : ''
}

/** Rows of a table: one for each kind of difference of a video, with the first of that kind. */
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
