// Edits HEVC streams with start codes in ways that no encoder at hand writes.

const types = { firstIrap: 16, lastIrap: 21, lastSlice: 31, pps: 34 }

/**
 * Sets no_output_of_prior_pics_flag in the random access pictures: decoders discard the pictures that they have not shown
 * yet.
 */
export function discardEarlierPictures(bytes) {
  return mapUnits(bytes, (unit) => {
    const type = unit[0] >> 1
    if (type >= types.firstIrap && type <= types.lastIrap) unit[2] |= 0x40
    return unit
  })
}

/**
 * Clears pic_output_flag in every third picture that is no random access point: it is decoded and never shown. The flag and
 * seven reserved bits make room in each slice header, so that everything behind them moves by one byte. For pictures of one
 * slice, with parameter sets of the number 0.
 */
export function hideSomePictures(bytes) {
  let pictures = 0
  return mapUnits(bytes, (unit) => {
    const type = unit[0] >> 1
    // Two numbers of sets and dependent_slice_segments_enabled_flag come before output_flag_present_flag and the number of
    // reserved bits.
    if (type === types.pps) unit[2] |= 0x1e
    if (type > types.lastSlice) return unit
    const isIrap = type >= types.firstIrap && type <= types.lastIrap
    const isShown = isIrap || ++pictures % 3 !== 0
    return insertOutputFlag(unit, isIrap ? 3 : 2, isShown)
  })
}

/** `at`: the bit of the slice header where the reserved bits begin; slice_type follows, then the flag. */
function insertOutputFlag(unit, at, isShown) {
  const bits = [...unit.subarray(2)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const typeBits = bits[at] === '1' ? 1 : 3
  const changed = [
    bits.slice(0, at),
    '0000000',
    bits.slice(at, at + typeBits),
    isShown ? '1' : '0',
    bits.slice(at + typeBits),
  ].join('')
  const body = changed.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2))
  return Buffer.from([unit[0], unit[1], ...body])
}

/** Replaces every NAL unit by what `edit` makes of it; it gets a copy without emulation prevention. */
function mapUnits(bytes, edit) {
  const prefix = Buffer.from([0, 0, 0, 1])
  const parts = []
  for (let at = bytes.indexOf('\0\0\x01', 0, 'latin1'); at >= 0; ) {
    const next = bytes.indexOf('\0\0\x01', at + 3, 'latin1')
    const unit = bytes.subarray(at + 3, next < 0 ? bytes.length : next)
    // Zeros at the end belong to the next start code.
    let end = unit.length
    while (unit[end - 1] === 0) end -= 1
    parts.push(prefix, escaped(edit(unescaped(unit.subarray(0, end)))))
    at = next
  }
  return Buffer.concat(parts)
}

function unescaped(unit) {
  return Buffer.from(
    unit.filter((byte, at) => !(byte === 3 && at >= 2 && unit[at - 1] === 0 && unit[at - 2] === 0)),
  )
}

function escaped(unit) {
  const bytes = []
  let zeros = 0
  for (const byte of unit) {
    if (zeros >= 2 && byte <= 3) {
      bytes.push(3)
      zeros = 0
    }
    bytes.push(byte)
    zeros = byte === 0 ? zeros + 1 : 0
  }
  return Buffer.from(bytes)
}
