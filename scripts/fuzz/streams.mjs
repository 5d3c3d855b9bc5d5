// Writes an elementary stream in the form that native/fuzz/targets/headers.cc reads: the codec, the extradata, the packets.

/** In the order of that file. */
const codecs = [
  'h264',
  'hevc',
  'av1',
  'vp8',
  'vp9',
  'mpeg4',
  'vc1',
  'mpeg2',
  'mpeg1',
  'wmv3',
  'theora',
  'mjpeg',
]
const mostBytes = 4000
const key = 1
const newSets = 2

/**
 * @param {string} codec as scripts/compare/streams.mjs names it
 * @param {Buffer} stream what FFmpeg's muxer for raw streams (IVF for VP8 and VP9) writes
 * @returns {[string, Buffer][]} name of the form, and the bytes
 */
export function headerStreams(codec, stream) {
  if (codec === 'vp8' || codec === 'vp9') return [['packets', written(codec, Buffer.alloc(0), ivf(stream))]]
  if (codec === 'av1') return [['packets', written(codec, Buffer.alloc(0), temporalUnits(stream))]]
  const units = startCodes(stream)
  if (codec !== 'h264' && codec !== 'hevc') {
    return [['packets', written(codec, withCode(units[0]), units.map(withCode))]]
  }
  const isSet = (unit) =>
    codec === 'h264' ? [7, 8].includes(unit[0] & 31) : [32, 33, 34].includes((unit[0] >> 1) & 63)
  const sets = units.filter(isSet)
  const pictures = units.filter((unit) => !isSet(unit))
  const annexB = Buffer.concat(sets.map(withCode))
  const box = codec === 'h264' ? avcC(sets) : hvcC(sets)
  return [
    ['codes', written(codec, annexB, pictures.map(withCode))],
    ['inline', written(codec, Buffer.alloc(0), units.map(withCode))],
    ['lengths', written(codec, box, pictures.map(withLength))],
    ['changed', written(codec, box, [box, ...pictures.map(withLength)], key | newSets)],
  ]
}

function written(codec, extradata, packets, firstFlags = key) {
  const parts = [Buffer.from([codecs.indexOf(codec)]), u16(extradata.length), extradata]
  for (const [place, packet] of packets.entries()) {
    const cut = packet.subarray(0, mostBytes)
    parts.push(u16(cut.length), Buffer.from([(place === 0 ? firstFlags : 0) | ((place % 4) << 6)]), cut)
  }
  return Buffer.concat(parts)
}

function u16(value) {
  return Buffer.from([value >> 8, value & 255])
}

function withCode(unit) {
  return Buffer.concat([Buffer.from([0, 0, 1]), unit])
}

function withLength(unit) {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(unit.length)
  return Buffer.concat([length, unit])
}

/** What stands between start codes. */
function startCodes(stream) {
  const code = Buffer.from([0, 0, 1])
  const units = []
  for (let at = stream.indexOf(code); at >= 0; ) {
    const next = stream.indexOf(code, at + 3)
    const end = next < 0 ? stream.length : stream[next - 1] === 0 ? next - 1 : next
    if (end > at + 3) units.push(stream.subarray(at + 3, end))
    at = next
  }
  // JPEGs have none.
  return units.length > 0 ? units : [stream]
}

function avcC(sets) {
  const of = (type) => sets.filter((unit) => (unit[0] & 31) === type)
  const list = (units) => units.flatMap((unit) => [u16(unit.length), unit])
  const [sps] = of(7)
  return Buffer.concat([
    Buffer.from([1, sps[1], sps[2], sps[3], 0xff, 0xe0 | of(7).length]),
    ...list(of(7)),
    Buffer.from([of(8).length]),
    ...list(of(8)),
  ])
}

function hvcC(sets) {
  const head = Buffer.alloc(23)
  head[0] = 1
  head[21] = 0x0f // one temporal layer, lengths of four bytes
  head[22] = sets.length
  return Buffer.concat([
    head,
    ...sets.flatMap((unit) => [Buffer.from([(unit[0] >> 1) & 63]), u16(1), u16(unit.length), unit]),
  ])
}

function ivf(stream) {
  const packets = []
  for (let at = stream.readUInt16LE(6); at + 12 <= stream.length; ) {
    const size = stream.readUInt32LE(at)
    packets.push(stream.subarray(at + 12, at + 12 + size))
    at += 12 + size
  }
  return packets
}

/** Cuts a low-overhead OBU stream at its temporal delimiters. */
function temporalUnits(stream) {
  const delimiter = Buffer.from([0x12, 0])
  const units = []
  for (let at = stream.indexOf(delimiter); at >= 0; ) {
    const next = stream.indexOf(delimiter, at + 2)
    units.push(stream.subarray(at, next < 0 ? stream.length : next))
    at = next
  }
  return units
}
