// What of a video differs between the library and its peer. Pure: facts in, differences out.

/** Both decode the same bits; they round to RGB in their own ways. Of 255. */
const limits = { mean: 0.75, max: 4 }

/**
 * `ours`: what ours.mjs answered, or { ended, said } when that ended the process. `peer`: what peer.py answered.
 * Returns [{ what: 'crash' | 'refused' | 'only ours' | 'count' | 'frames' | 'last frame' | 'times' |
 * 'pictures', run, detail }].
 */
export function differences(ours, peer) {
  if (ours.ended) return [{ what: 'crash', detail: `${ours.ended}: ${ours.said.split('\n').at(-1)}` }]
  if (peer.ended) return [{ what: 'peer crash', detail: `${peer.ended}: ${peer.said.split('\n').at(-1)}` }]
  if (peer.error) {
    const read = ours.runs.filter(({ error }) => !error)
    return read.length === 0 ? [] : [{ what: 'only ours', detail: `PyAV: ${peer.error}` }]
  }
  return ours.runs.flatMap((run, index) =>
    ofRun(run, peer.runs[index], peer).map((difference) => ({ ...difference, run: index })),
  )
}

function ofRun(ours, wanted, { count, tick, step, epochs }) {
  if (wanted.count === null) return [] // a range of a video without times
  if (ours.error) {
    return wanted.count === 0 ? [] : [{ what: 'refused', detail: `${ours.error}: ${ours.message}` }]
  }
  const found = []
  if (ours.count !== wanted.count) found.push({ what: 'count', detail: `${ours.count}, not ${wanted.count}` })
  found.push(
    ...ofPictures(
      (wanted.pictures ?? []).filter((picture) => !isSame(picture)),
      count - 1,
    ),
  )
  // With another count other frames are meant, and their times say nothing new.
  if (wanted.times && found.every(({ what }) => what !== 'count')) {
    // Behind a clock that was reset there is no true time, only one that follows: within a frame.
    const tolerance = tick + 1e-4 + (epochs > 1 ? 2 * step * (epochs - 1) : 0)
    const off = ours.times.findIndex((time, slot) => Math.abs(time - wanted.times[slot]) > tolerance)
    if (off >= 0) {
      const detail = `${ours.times[off].toFixed(3)}, not ${wanted.times[off].toFixed(3)} (frame ${wanted.indices[off]})`
      found.push({ what: 'times', detail })
    }
  }
  return found
}

/** `different`: pictures that are not the same. A file that is cut off ends in one of which every decoder shows something else. */
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
 * Whether a difference is one about damage that the peer saw and the library told of: what a decoder makes of damage is
 * its own affair, up to as many frames as are damaged.
 */
export function isToldDamage({ what, run }, ours, peer) {
  if (run === undefined || !(peer.corrupt > 0)) return false
  const { error, warnings = [], count } = ours.runs[run]
  if (error || warnings.length === 0) return false
  return what !== 'count' || Math.abs(count - peer.runs[run].count) <= peer.corrupt
}
