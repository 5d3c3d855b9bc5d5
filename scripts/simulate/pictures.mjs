// Counts the pictures that a clip costs by the rules of the decode plan, for H.264 with x264's default structure.

/** x264 puts three B pictures between references; the middle one is a reference of the other two. */
const minigop = 4

/** Counts the packets of a GOP up to the picture shown at `position`, in decode order. `last` is the GOP's last position. */
export function packetsUpTo(position, last) {
  const place = position % minigop
  const first = position - place // the reference before it
  const end = Math.min(first + minigop, last) // the reference after it, which the B pictures need
  if (place === 0 || position === last)
    return place === 0 ? decodePlace(position) + 1 : decodePlace(first) + 2
  const middle = first + (end - first) / 2
  // The decode order: the next reference, the middle, then the B pictures before and after it.
  const order = [end, middle, ...range(first + 1, end).filter((each) => each !== middle)]
  return decodePlace(first) + 1 + order.indexOf(position) + 1
}

/** The place of a reference in decode order: after all pictures shown before it, except the B pictures of its own group. */
function decodePlace(position) {
  return position === 0 ? 0 : position - (minigop - 1)
}

/**
 * Counts the pictures that `frames` frames of a video cost.
 * @param {{ seconds: number, fps: number, gop: number, frames?: number, tolerance?: number }} clip tolerance in seconds
 * @returns {{ runs: { decoded: number, skipped: number }[], decoded: number, skipped: number }} a run is what is decoded of one GOP
 */
export function picturesOfClip({ seconds, fps, gop, frames = 8, tolerance = 0 }) {
  const count = Math.round(seconds * fps)
  const wanted = range(0, frames).map((i) => Math.floor((i * (count - 1)) / (frames - 1)))
  const reach = Math.floor(tolerance * fps)
  const furthest = new Map() // GOP → number of packets
  for (const frame of wanted) {
    const near = range(Math.max(0, frame - reach), Math.min(count - 1, frame + reach) + 1)
    const cost = (each) => {
      const start = each - (each % gop)
      return packetsUpTo(each - start, Math.min(gop, count - start) - 1)
    }
    const best = near.reduce((a, b) => (cost(b) < cost(a) ? b : a), frame)
    const group = Math.floor(best / gop)
    furthest.set(group, Math.max(furthest.get(group) ?? 0, cost(best)))
  }
  // Two of four pictures are not references, and are skipped once the first picture has been decoded.
  const runs = [...furthest.values()].map((packets) => {
    const skipped = Math.floor(Math.max(0, packets - 1) / 2)
    return { decoded: packets - skipped, skipped }
  })
  const sum = (part) => runs.reduce((total, run) => total + run[part], 0)
  return { runs, decoded: sum('decoded'), skipped: sum('skipped') }
}

function range(from, to) {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
}
