// Writes VC-1, which FFmpeg decodes but does not encode: pictures of flat 8×8 blocks. Upper macroblocks show the number of the
// picture as a barcode. The others are copied from the pictures that a picture refers to, except one, so that a decoder that
// refers to the wrong picture shows something else.

export const written = { width: 128, height: 96 }

const [columns, rows] = [written.width / 16, written.height / 16]
const barcodeRows = 2

/** Codes of SMPTE 421M: [value, bits]. */
const codes = {
  zeroCodedBlocks: [1, 1],
  intraWithoutCoefficients: [0b001101, 6],
  sameDc: [
    [1, 1],
    [0, 2],
  ],
  escapedDc: [
    [0x6078f, 24],
    [0x60888f, 23],
  ],
  rowSkip: [0b010, 3],
}
const quantizer = 5
/** Levels of luma that a step of a quantised DC coefficient makes at this quantizer. */
const levelsPerStep = 1.125

class Bits {
  #bytes = []
  #used = 8

  put([value, bits]) {
    for (let bit = bits - 1; bit >= 0; bit -= 1) {
      if (this.#used === 8) {
        this.#bytes.push(0)
        this.#used = 0
      }
      this.#bytes[this.#bytes.length - 1] |= ((value >>> bit) & 1) << (7 - this.#used)
      this.#used += 1
    }
    return this
  }

  /** `fields`: value, bits, value, bits, … */
  all(...fields) {
    for (let at = 0; at < fields.length; at += 2) this.put([fields[at], fields[at + 1]])
    return this
  }

  bytes() {
    return this.#bytes
  }
}

/**
 * The decoding order of `count` pictures with `between` B pictures between two others, and a keyframe every `gop` of these.
 *
 * @returns [{ type: 'I' | 'P' | 'B' | 'BI', number: in order of display }]
 */
function decodingOrder(count, gop, between) {
  const pictures = []
  for (let place = 0; place < count; place += 1) {
    const group = (place - 1) % (between + 1)
    const isAnchor = place === 0 || group === 0
    const anchor = place === 0 ? 0 : (place - 1 - group) / (between + 1) + 1
    const number = place === 0 ? 0 : isAnchor ? Math.min(place + between, count - 1) : place - 1
    const b = group === between ? 'BI' : 'B'
    pictures.push({ type: isAnchor ? (anchor % gop === 0 ? 'I' : 'P') : b, number })
  }
  return pictures
}

/** Arguments of the setts filter that give the pictures of `writeVc1` their times. */
export function timesOfVc1({ between, count, rate }) {
  const number = `if(eq(N,0),0,if(eq(mod(N-1,${between + 1}),0),min(N+${between},${count - 1}),N-1))`
  const early = between > 0 ? 1 : 0
  return `setts=pts='(${number})/${rate}/TB':dts='(N-${early})/${rate}/TB'`
}

/**
 * The stream has a `profile`, 'advanced' or 'main', a `rate`, and the parameters of decodingOrder.
 * @returns an elementary stream of the advanced profile, or an RCV file of the main profile
 */
export function writeVc1({ profile, count, gop, between, rate }) {
  const isAdvanced = profile === 'advanced'
  const headers = isAdvanced ? sequenceHeader(rate) : []
  const parts = [Buffer.from(isAdvanced ? headers : rcvHeader(count, rate, between))]
  for (const [place, picture] of decodingOrder(count, gop, between).entries()) {
    const bits = pictureHeader(picture, isAdvanced, between)
    putMacroblocks(bits, picture, isAdvanced)
    if (isAdvanced) {
      bits.put([1, 1])
      if (picture.type === 'I')
        parts.push(Buffer.from([...(place > 0 ? headers : []), ...entryPoint(between)]))
      parts.push(Buffer.from(unit(0x0d, bits)))
    } else {
      const head = Buffer.alloc(8)
      head.writeUInt32LE((bits.bytes().length | (picture.type === 'I' ? 0x80000000 : 0)) >>> 0)
      head.writeUInt32LE(place, 4)
      parts.push(head, Buffer.from(bits.bytes()))
    }
  }
  return Buffer.concat(parts)
}

/** A unit with its start code. Where its bytes would look like one, 3 is put in between. */
function unit(type, bits) {
  const escaped = [0, 0, 1, type]
  let zeros = 0
  for (const byte of bits.bytes()) {
    if (zeros >= 2 && byte <= 3) {
      escaped.push(3)
      zeros = 0
    }
    escaped.push(byte)
    zeros = byte === 0 ? zeros + 1 : 0
  }
  return escaped
}

function sequenceHeader(rate) {
  const bits = new Bits()
  // Profile, level, 4:2:0, two hints for postprocessing, no postprocessing.
  bits.all(3, 2, 1, 3, 1, 2, 0, 3, 0, 5, 0, 1)
  bits.all(written.width / 2 - 1, 12, written.height / 2 - 1, 12)
  // Neither pulldown, interlacing, frame counters nor interpolation; a reserved bit; no segmented frames.
  bits.all(0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1)
  // The display's size; no aspect ratio; the rate, in 32nds; no colour; no buffer model.
  bits.all(
    1,
    1,
    written.width - 1,
    14,
    written.height - 1,
    14,
    0,
    1,
    1,
    1,
    1,
    1,
    rate * 32 - 1,
    16,
    0,
    1,
    0,
    1,
  )
  return unit(0x0f, bits.put([1, 1]))
}

function entryPoint(between) {
  const bits = new Bits()
  // broken_link, closed_entry; then no tools; one uniform quantizer for all.
  bits.all(0, 1, between === 0 ? 1 : 0, 1, 0, 9, 3, 2)
  // The coded size is that of the sequence; no range mapping.
  bits.all(0, 1, 0, 1, 0, 1)
  return unit(0x0e, bits.put([1, 1]))
}

function rcvHeader(count, rate, between) {
  const sequence = new Bits()
  // Main profile; two reserved bits; two hints; no loop filter, X8, resolutions; the fast transform, reserved as 1.
  sequence.all(1, 2, 0, 2, 0, 3, 0, 5, 0, 1, 0, 1, 0, 1, 1, 1)
  // No tools up to the number of B pictures; one uniform quantizer; no interpolation; a reserved bit.
  sequence.all(0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, between, 3, 3, 2, 0, 1, 1, 1)
  const header = Buffer.alloc(36)
  header.writeUInt32LE((count | 0xc5000000) >>> 0)
  header.writeUInt32LE(4, 4)
  Buffer.from(sequence.bytes()).copy(header, 8)
  header.writeUInt32LE(written.height, 12)
  header.writeUInt32LE(written.width, 16)
  header.writeUInt32LE(12, 20)
  header.writeUInt32LE(rate, 32)
  return header
}

const isIntra = ({ type }) => type === 'I' || type === 'BI'
const half = [0, 3]

function pictureHeader(picture, isAdvanced, between) {
  const bits = new Bits()
  if (isAdvanced) putAdvancedType(bits, picture)
  else putMainType(bits, picture, between)
  bits.all(quantizer, 5, 0, 1)
  if (isIntra(picture)) {
    if (isAdvanced) putPlane(bits, () => 0) // no prediction of AC coefficients
    return bits.all(0, 1, 0, 1, 0, 1) // tables
  }
  const isCopied = (column, row) => (isDrawn(picture.number, column, row) ? 0 : 1)
  bits.put([1, 1]) // one motion vector
  if (picture.type === 'B') putPlane(bits, isCopied) // from both directions
  putPlane(bits, isCopied)
  return bits.all(0, 2, 0, 2, 0, 1, 0, 1) // tables
}

function putAdvancedType(bits, { type, number }) {
  bits.put({ P: [0, 1], B: [0b10, 2], I: [0b110, 3], BI: [0b1110, 4] }[type])
  bits.put([number & 1, 1]) // rounding
  if (type === 'B') bits.put(half)
}

function putMainType(bits, { type }, between) {
  bits.put([0, 2]) // a counter that nobody reads
  bits.put([type === 'P' ? 1 : 0, 1])
  if (between > 0 && type !== 'P') bits.put([type === 'I' ? 1 : 0, 1])
  if (type === 'B') bits.put(half)
  if (type === 'BI') bits.put([0x7f, 7]) // in place of a fraction
  if (type !== 'B' && type !== 'P') bits.put([0, 7]) // fullness of a buffer
}

/** A plane of one bit per macroblock, row by row. */
function putPlane(bits, value) {
  bits.put([0, 1]).put(codes.rowSkip)
  for (let row = 0; row < rows; row += 1) {
    const values = Array.from({ length: columns }, (_, column) => value(column, row))
    const some = values.some((one) => one === 1)
    bits.put([some ? 1 : 0, 1])
    if (some) for (const one of values) bits.put([one, 1])
  }
}

function isDrawn(number, column, row) {
  return (
    row < barcodeRows || (row - barcodeRows) * columns + column === number % ((rows - barcodeRows) * columns)
  )
}

/** [luma, Cb, Cr] of a macroblock. */
function levels(number, column, row) {
  if (row < barcodeRows) return [(number >> column) & 1 ? 235 : 16, 128, 128]
  return [60 + ((number * 37 + row * 11 + column * 29) % 140), 100 + (number % 50), 150 - (number % 40)]
}

function putMacroblocks(bits, picture, isAdvanced) {
  const signed = isAdvanced || !isIntra(picture)
  const planes = [new Plane(2, signed), new Plane(1, signed), new Plane(1, signed)]
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      // A copied macroblock has no bits of its own.
      if (!isIntra(picture) && !isDrawn(picture.number, column, row)) continue
      bits.put(isIntra(picture) ? codes.zeroCodedBlocks : codes.intraWithoutCoefficients)
      if (!isIntra(picture) || !isAdvanced) bits.put([0, 1]) // no prediction of AC coefficients
      const [luma, blue, red] = levels(picture.number, column, row)
      for (const block of [0, 1, 2, 3])
        planes[0].put(bits, 2 * column + (block & 1), 2 * row + (block >> 1), luma)
      planes[1].put(bits, column, row, blue)
      planes[2].put(bits, column, row, red)
    }
  }
}

/** Predicts and writes the DC coefficients of a plane. */
class Plane {
  #blocks = new Map()
  #kind
  #signed

  /** `signed`: levels are counted from the middle, and blocks outside have no prediction. */
  constructor(blocksPerMacroblock, signed) {
    this.#kind = blocksPerMacroblock === 2 ? 0 : 1
    this.#signed = signed
  }

  put(bits, x, y, level) {
    const value = Math.round((this.#signed ? level - 128 : level) / levelsPerStep)
    const difference = value - this.#predicted(x, y)
    this.#blocks.set(`${x},${y}`, value)
    if (difference === 0) {
      bits.put(codes.sameDc[this.#kind])
      return
    }
    bits.put(codes.escapedDc[this.#kind]).all(Math.abs(difference), 8, difference < 0 ? 1 : 0, 1)
  }

  #predicted(x, y) {
    const outside = this.#signed ? undefined : 128
    const at = (column, row) => this.#blocks.get(`${column},${row}`)
    const [left, above] = [at(x - 1, y) ?? outside, at(x, y - 1) ?? outside]
    if (left === undefined) return above ?? 0
    if (above === undefined) return left
    const corner = at(x - 1, y - 1) ?? outside ?? 0
    return Math.abs(above - corner) <= Math.abs(corner - left) ? left : above
  }
}
