// How many pictures a clip costs, by the rules of the decode plan, for H.264 as x264 writes it by default.

/** Of x264: three B pictures between references, the middle one referred to by the others. */
const minigop = 4

/** Packets of a GOP up to the one whose picture is shown at `position`, in decode order. `last` is the GOP's last position. */
export function packetsUpTo(position, last) {
  const place = position % minigop
  const first = position - place // the reference in front
  const end = Math.min(first + minigop, last) // the one behind, which its B pictures need
  if (place === 0 || position === last)
    return place === 0 ? decodePlace(position) + 1 : decodePlace(first) + 2
  const middle = first + (end - first) / 2
  // The reference behind, then the middle, then the B pictures in front of and behind it.
  const order = [end, middle, ...range(first + 1, end).filter((each) => each !== middle)]
  return decodePlace(first) + 1 + order.indexOf(position) + 1
}

/** Of a reference on the grid: the packets of the groups in front of it come first, but for its own B pictures. */
function decodePlace(position) {
  return position === 0 ? 0 : position - (minigop - 1)
}

/**
 * What eight frames (or `frames`) of a video cost.
 * @param clip { seconds, fps, gop, frames, tolerance }, tolerance in seconds
 * @returns { runs: [{ decoded, skipped }], decoded, skipped }; a run is what is decoded of one GOP
 */
export function picturesOfClip({ seconds, fps, gop, frames = 8, tolerance = 0 }) {
  const count = Math.round(seconds * fps)
  const wanted = range(0, frames).map((i) => Math.floor((i * (count - 1)) / (frames - 1)))
  const reach = Math.floor(tolerance * fps)
  const furthest = new Map() // GOP → packets
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
  // Two of four pictures are referred to by nobody and are skipped, once the first has been decoded.
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
