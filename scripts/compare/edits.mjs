// Edits finished files in ways that no muxer offers.

/** Turns the boxes of this kind in an MP4 into free space, which readers skip. */
export function hide(kind) {
  return (bytes) => {
    const changed = Buffer.from(bytes)
    for (const at of boxes(changed, kind)) changed.write('free', at, 'latin1')
    return changed
  }
}

/** Sets the rotation of every track of an MP4 to a quarter turn clockwise. */
export const rotate = turn(1)

/** Sets the rotation of every track of an MP4 to so many quarter turns clockwise. */
export function turn(quarters) {
  const [cosine, sine] = [
    [1, 0],
    [0, 1],
    [-1, 0],
    [0, -1],
  ][quarters % 4].map((part) => part * 0x10000)
  return (bytes) => {
    const changed = Buffer.from(bytes)
    for (const at of boxes(changed, 'tkhd')) {
      const matrix = at + 4 + (changed[at + 4] === 1 ? 52 : 40)
      const turned = [cosine, sine, 0, -sine, cosine, 0, 0, 0, 0x40000000]
      for (const [index, value] of turned.entries()) changed.writeInt32BE(value, matrix + 4 * index)
    }
    return changed
  }
}

/** Marks the sample behind each keyframe of an MP4 as the keyframe, except behind the last one. Without keyframes: no change. */
export function markFollowingSamples(bytes) {
  const changed = Buffer.from(bytes)
  if (changed.indexOf('stss', 0, 'latin1') < 0) return changed
  for (const at of boxes(changed, 'stss')) {
    const count = changed.readUInt32BE(at + 8)
    for (let entry = 0; entry < count - 1; entry += 1) {
      const place = at + 12 + 4 * entry
      changed.writeUInt32BE(changed.readUInt32BE(place) + 1, place)
    }
  }
  return changed
}

/** @returns the offsets of the names of the boxes in moov; a box's name follows its length */
function boxes(bytes, kind) {
  const found = []
  const moov = bytes.indexOf('moov', 0, 'latin1')
  for (let at = bytes.indexOf(kind, moov, 'latin1'); at > 0; at = bytes.indexOf(kind, at + 4, 'latin1'))
    found.push(at)
  if (moov < 0 || found.length === 0) throw new Error(`the MP4 has no ${kind} to change`)
  return found
}

/**
 * Adds a copy of every slice of an Annex B HEVC stream as layer 1, where spatial video from phones has its second view. A
 * decoder that shows one view must show layer 0.
 */
export function addLayer(bytes) {
  const parts = []
  let from = 0
  for (let at = bytes.indexOf('\0\0\x01', 0, 'latin1'); at >= 0; ) {
    const next = bytes.indexOf('\0\0\x01', at + 3, 'latin1')
    const end = next < 0 ? bytes.length : next
    parts.push(bytes.subarray(from, end))
    const isSlice = bytes[at + 3] >> 1 < 32
    if (isSlice) {
      const other = Buffer.from(bytes.subarray(at, end))
      other[4] |= 0x08
      parts.push(other)
    }
    from = end
    at = next
  }
  return Buffer.concat(parts)
}

/** Drops the start, as in a recording that was joined late. Transport packets stay whole, as a receiver keeps them. */
export function cutStart(share) {
  return (bytes) => {
    const at = Math.floor(bytes.length * share)
    return bytes.subarray(bytes[0] === 0x47 ? at - (at % 188) : at)
  }
}

const ids = { segment: 0x18538067, cluster: 0x1f43b675, simpleBlock: 0xa3 }

/** Sets the keyframe bit of every SimpleBlock of a Matroska file. */
export function setEveryBlockKey(bytes) {
  const changed = Buffer.from(bytes)
  let blocks = 0
  const walk = (from, to) => {
    for (let at = from; at < to; ) {
      const id = number(changed, at, { keepMarker: true })
      const size = number(changed, at + id.length, {})
      const body = at + id.length + size.length
      const end = size.unknown ? to : body + size.value
      if (id.value === ids.segment || id.value === ids.cluster) walk(body, end)
      if (id.value === ids.simpleBlock) {
        changed[body + number(changed, body, {}).length + 2] |= 0x80
        blocks += 1
      }
      at = end
    }
  }
  walk(0, changed.length)
  if (blocks === 0) throw new Error('the Matroska file has no SimpleBlock to change')
  return changed
}

/** Reads an EBML number, whose leading zero bits give its length. */
function number(bytes, at, { keepMarker = false }) {
  const length = Math.clz32(bytes[at]) - 23
  let value = keepMarker ? bytes[at] : bytes[at] & (0xff >> length)
  for (let i = 1; i < length; i += 1) value = value * 256 + bytes[at + i]
  return { length, value, unknown: value === 2 ** (7 * length) - 1 }
}
