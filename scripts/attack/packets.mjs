// Packets of a few kilobytes that keep a decoder busy for hours, and the containers around them.

import { blank, element, u16, u32 } from './boxes.mjs'

/** Macroblocks of 1920 by 1088 pixels. */
const large = { wide: 120, high: 68 }
const pps = Buffer.from('68ce3880', 'hex')

/** Writes bits, the most significant first. */
class Bits {
  #bits = []

  u(count, value) {
    for (let bit = count - 1; bit >= 0; bit--) this.#bits.push((value >>> bit) & 1)
    return this
  }

  ue(value) {
    const length = 31 - Math.clz32(value + 1)
    return this.u(length, 0).u(length + 1, value + 1)
  }

  /** @returns the NAL unit, with the stop bit and emulation prevention bytes */
  nal(header) {
    this.u(1, 1)
    while (this.#bits.length % 8 !== 0) this.u(1, 0)
    const bytes = [header]
    let zeros = 0
    for (let at = 0; at < this.#bits.length; at += 8) {
      const byte = Number.parseInt(this.#bits.slice(at, at + 8).join(''), 2)
      if (zeros >= 2 && byte <= 3) {
        bytes.push(3)
        zeros = 0
      }
      zeros = byte === 0 ? zeros + 1 : 0
      bytes.push(byte)
    }
    return Buffer.from(bytes)
  }
}

const parameters = ({ wide, high }) =>
  new Bits()
    .u(8, 77)
    .u(8, 0)
    .u(8, 62)
    .ue(0)
    .ue(0)
    .ue(2)
    .ue(1)
    .u(1, 0)
    .ue(wide - 1)
    .ue(high - 1)
    .u(1, 1)
    .u(1, 1)
    .u(2, 0)
    .nal(0x67)

/** An intra-coded grey picture. */
function intra({ wide, high }) {
  const bits = new Bits().ue(0).ue(7).ue(0).u(4, 0).ue(0).u(2, 0).ue(0)
  for (let block = 0; block < wide * high; block++) bits.ue(3).ue(0).ue(0).u(1, 1)
  return bits.nal(0x65)
}

/** Slices of skipped macroblocks, each from its start to the end of the picture. `reference`: others may refer to them. */
const skips = ({ wide, high }, count, reference) =>
  Array.from({ length: count }, (_, at) => {
    const first = Math.min(at, wide * high - 1)
    const head = new Bits().ue(first).ue(5).ue(0).u(4, 1)
    head.u(reference ? 3 : 2, 0).ue(0)
    return head.ue(wide * high - first).nal(reference ? 0x41 : 0x01)
  })

const withLengths = (units) => Buffer.concat(units.flatMap((unit) => [u32(unit.length), unit]))
const withStartCodes = (units) => Buffer.concat(units.flatMap((unit) => [u32(1), unit]))

function configuration(sps) {
  const head = [Buffer.from([1]), sps.subarray(1, 4), Buffer.from([0xff, 0xe1])]
  return Buffer.concat([...head, u16(sps.length), sps, Buffer.from([1]), u16(pps.length), pps])
}

/** A Matroska file whose second picture has `count` slices. Within a reference, libavcodec cannot be stopped. */
export function slices(count, { reference = false } = {}) {
  const head = element('1a45dfa3', element('4282', 'matroska'), element('4287', '\x04'))
  const info = element('1549a966', element('2ad7b1', Buffer.from('0f4240', 'hex')))
  const track = element(
    'ae',
    element('d7', '\x01'),
    element('73c5', '\x01'),
    element('83', '\x01'),
    element('86', 'V_MPEG4/ISO/AVC'),
    element('63a2', configuration(parameters(large))),
    element('e0', element('b0', '\x40'), element('ba', '\x40')),
  )
  const block = (time, units) =>
    element('a3', Buffer.from([0x81, 0, time, time === 0 ? 0x80 : 0]), withLengths(units))
  const blocks = [block(0, [intra(large)]), block(40, skips(large, count, reference))]
  const cluster = element('1f43b675', element('e7', '\0'), ...blocks)
  return Buffer.concat([head, element('18538067', info, element('1654ae6b', track), cluster)])
}

/** The same as a raw stream, which FFmpeg decodes to probe it. */
export function rawSlices(count) {
  return withStartCodes([parameters(large), pps, intra(large), ...skips(large, count, false)])
}

/** A raw stream with units of one byte, for each of which libavcodec allocates kilobytes. */
export function emptyUnits(count) {
  const picture = [parameters(large), pps, intra(large)]
  const empty = Buffer.concat(Array(count).fill(Buffer.from([0, 0, 1, 12])))
  return Buffer.concat([withStartCodes(picture), empty, withStartCodes(picture)])
}

/** An FLV whose header announces no stream, followed by one of 16000 by 16000 pixels. */
export function lateStream() {
  const sps = parameters({ wide: 1000, high: 1000 })
  const tag = (data) => {
    const header = Buffer.concat([Buffer.from([9]), u32(data.length).subarray(1), blank(7)])
    return [header, data, u32(data.length + 11)]
  }
  const sequence = Buffer.concat([Buffer.from([0x17, 0, 0, 0, 0]), configuration(sps)])
  const picture = Buffer.concat([Buffer.from([0x17, 1, 0, 0, 0]), withLengths([intra(large)])])
  const head = Buffer.concat([Buffer.from('FLV\x01\0', 'latin1'), u32(9, 0)])
  return Buffer.concat([head, ...tag(sequence), ...Array.from({ length: 20 }, () => tag(picture)).flat()])
}

/** An Ogg file with Speex comments, which only their position identifies. */
export function oggComments(count) {
  const little = (value) => Buffer.from(Uint32Array.of(value).buffer)
  const speex = blank(80)
  speex.write('Speex   1.2')
  speex.writeUInt32LE(16_000, 36)
  speex.writeUInt32LE(1, 48)
  const comments = Array.from({ length: count }, (_, at) => Buffer.from(`${at}=1`))
  const list = [little(0), little(count), ...comments.flatMap((text) => [little(text.length), text])]
  return Buffer.concat([...oggPages(speex, 0), ...oggPages(Buffer.concat(list), 1)])
}

function oggPages(packet, first) {
  const laces = Buffer.concat([
    Buffer.alloc(Math.floor(packet.length / 255), 255),
    Buffer.from([packet.length % 255]),
  ])
  const pages = []
  for (let at = 0; at < laces.length; at += 255) {
    const part = laces.subarray(at, at + 255)
    const head = blank(27)
    head.write('OggS')
    head[5] = (first + at === 0 ? 2 : 0) | (at > 0 ? 1 : 0)
    head.writeUInt32LE(7, 14)
    head.writeUInt32LE(first + at / 255, 18)
    head[26] = part.length
    const page = Buffer.concat([head, part, packet.subarray(at * 255, (at + part.length) * 255)])
    page.writeUInt32LE(oggChecksum(page), 22)
    pages.push(page)
  }
  return pages
}

function oggChecksum(page) {
  let crc = 0
  for (const byte of page) {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0)
  }
  return crc >>> 0
}
