// Finds what differs between the answers of the library and of its peer about one video. Pure functions.

/** Both decode the same bits but round differently on the way to RGB. In 8-bit levels. */
const limits = { mean: 0.75, max: 4 }

/**
 * `library`: the answer of library.mjs, or { ended, said } when its process ended. `peer`: the answer of peer.py.
 *
 * @returns [{ what: 'crash' | 'refused' | 'only library' | 'count' | 'frames' | 'last frame' | 'times' | 'pictures', run,
 *   detail }]
 */
export function differences(library, peer) {
  if (library.ended)
    return [{ what: 'crash', detail: `${library.ended}: ${library.said.split('\n').at(-1)}` }]
  if (peer.ended) return [{ what: 'peer crash', detail: `${peer.ended}: ${peer.said.split('\n').at(-1)}` }]
  if (peer.error) {
    const read = library.runs.filter(({ error }) => !error)
    return read.length === 0 ? [] : [{ what: 'only library', detail: `PyAV: ${peer.error}` }]
  }
  return library.runs.flatMap((run, index) =>
    ofRun(run, peer.runs[index], peer).map((difference) => ({ ...difference, run: index })),
  )
}

function ofRun(library, wanted, { count, tick, step, epochs }) {
  if (wanted.count === null) return [] // a range needs times, and this video has none
  if (library.error) {
    return wanted.count === 0 ? [] : [{ what: 'refused', detail: `${library.error}: ${library.message}` }]
  }
  const found = []
  if (library.count !== wanted.count)
    found.push({ what: 'count', detail: `${library.count}, not ${wanted.count}` })
  found.push(
    ...ofPictures(
      (wanted.pictures ?? []).filter((picture) => !isSame(picture)),
      count - 1,
    ),
  )
  // A different count implies different frames, so comparing their times would add nothing.
  if (wanted.times && found.every(({ what }) => what !== 'count')) {
    // After a clock reset no time is exact: each reset may shift the following times by a frame.
    const tolerance = tick + 1e-4 + (epochs > 1 ? 2 * step * (epochs - 1) : 0)
    const off = library.times.findIndex((time, slot) => Math.abs(time - wanted.times[slot]) > tolerance)
    if (off >= 0) {
      const detail = `${library.times[off].toFixed(3)}, not ${wanted.times[off].toFixed(3)} (frame ${wanted.indices[off]})`
      found.push({ what: 'times', detail })
    }
  }
  return found
}

/** `different`: pictures that are not the same. Decoders conceal the last picture of a truncated file differently. */
function ofPictures(different, last) {
  const others = different.filter(({ nearest, wanted }) => nearest !== wanted)
  const unlike = different.filter(({ nearest, wanted }) => nearest === wanted)
  const found = []
  if (others.length > 0) {
    const list = others.map(({ nearest, wanted }) => `${nearest} for ${wanted}`)
    const more = list.length > 3 ? ` … (${list.length})` : ''
    found.push({ what: 'frames', detail: `${list.slice(0, 3).join(', ')}${more}` })
  }
  if (unlike.length > 0) {
    const worst = unlike.reduce((a, b) => ((a.mean ?? 256) >= (b.mean ?? 256) ? a : b))
    const detail = worst.size
      ? `not ${worst.size.join('×')}`
      : `mean ${worst.mean.toFixed(2)}, max ${worst.max}`
    found.push({ what: 'pictures', detail: `${unlike.length}; the worst, frame ${worst.wanted}: ${detail}` })
  }
  const isLast = different.every(({ wanted }) => wanted === last)
  return isLast ? found.map((difference) => ({ ...difference, what: 'last frame' })) : found
}

function isSame({ mean, max }) {
  return mean <= limits.mean && max <= limits.max
}

/**
 * Whether damage explains the difference: the peer saw damage, the library warned of it, and the counts differ by no more
 * frames than are damaged. Decoders conceal damage differently.
 */
export function isReportedDamage({ what, run }, library, peer) {
  if (run === undefined || !(peer.corrupt > 0)) return false
  const { error, warnings = [], count } = library.runs[run]
  if (error || warnings.length === 0) return false
  return what !== 'count' || Math.abs(count - peer.runs[run].count) <= peer.corrupt
}
