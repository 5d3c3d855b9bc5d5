// Small files that demand much: gigabytes of tables, hours of list searches, thousands of scans.

import { blank, box, element, full, jpegSegment, png, pngChunk, squeezed, u16, u32 } from './boxes.mjs'
import { emptyUnits, lateStream, oggComments, rawSlices, slices } from './packets.mjs'

const MiB = 1024 * 1024
const matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
const ftyp = box('ftyp', 'isom', u32(512), 'isomiso2avc1mp41')

/** A visual sample entry of H.264 with parameter sets for 64 by 64 pixels. */
function avc1() {
  const sps = Buffer.from('674d003eda1099', 'hex')
  const pps = Buffer.from('68ce3880', 'hex')
  const avcc = box(
    'avcC',
    Buffer.from([1, 0x4d, 0, 0x3e, 0xff, 0xe1]),
    u16(sps.length),
    sps,
    Buffer.from([1]),
    u16(pps.length),
    pps,
  )
  return box(
    'avc1',
    blank(6),
    u16(1),
    blank(16),
    u16(64, 64),
    u32(0x480000, 0x480000, 0),
    u16(1),
    blank(32),
    u16(24, 0xffff),
    avcc,
  )
}

const mvhd = full('mvhd', 0, u32(0, 0, 1000, 1000, 0x10000), u16(0x100), blank(10), matrix, blank(24), u32(2))

function track(id, tables, edits = Buffer.alloc(0)) {
  const stbl = box('stbl', full('stsd', 0, u32(1), avc1()), tables)
  const dinf = box('dinf', full('dref', 0, u32(1), full('url ', 1)))
  const minf = box('minf', full('vmhd', 1, blank(8)), dinf, stbl)
  const mdhd = full('mdhd', 0, u32(0, 0, 1000, 1000), u16(0x55c4, 0))
  const hdlr = full('hdlr', 0, u32(0), 'vide', blank(12), 'v\0')
  const tkhd = full('tkhd', 3, u32(0, 0, id, 0, 1000), blank(16), matrix, u32(64 << 16, 64 << 16))
  return box('trak', tkhd, edits, box('mdia', mdhd, hdlr, minf))
}

const movie = (...parts) => Buffer.concat([ftyp, box('moov', mvhd, ...parts), box('mdat', blank(64))])

/** Sample tables that give one size for all samples: they stay small, whatever the count. */
const oneSize = (count, bytes = 1) =>
  Buffer.concat([
    full('stts', 0, u32(1, count, 1)),
    full('stsc', 0, u32(1, 1, count, 1)),
    full('stsz', 0, u32(bytes, count)),
    full('stco', 0, u32(1, 40)),
  ])
const noSamples = Buffer.concat(
  ['stts', 'stsc', 'stco'].map((kind) => full(kind, 0, u32(0))).concat(full('stsz', 0, u32(0, 0))),
)

function fragment(entries, tracks) {
  const each = (make) => Array.from({ length: tracks }, (_, at) => make(at + 1))
  const moov = box(
    'moov',
    mvhd,
    ...each((id) => track(id, noSamples)),
    box('mvex', ...each((id) => full('trex', 0, u32(id, 1, 1, 1, 0)))),
  )
  const trafs = each((id) => box('traf', full('tfhd', 0x020000, u32(id)), full('trun', 0, u32(entries))))
  return Buffer.concat([ftyp, moov, box('moof', full('mfhd', 0, u32(1)), ...trafs), box('mdat', blank(64))])
}

/** An edit list in which every entry shows all samples again. */
function edits(count, samples) {
  const entry = u32(samples, 0, 0x10000)
  const list = box('edts', full('elst', 0, u32(count), Buffer.concat(Array(count).fill(entry))))
  return movie(track(1, oneSize(samples), list))
}

function compressedMovie(bytes) {
  const inner = squeezed(bytes)
  return Buffer.concat([ftyp, box('moov', box('cmov', box('dcom', 'zlib'), box('cmvd', u32(bytes), inner)))])
}

/** @param {{ more?: Buffer, tracks?: Buffer }} [parts] */
function matroska({ more = Buffer.alloc(0), tracks } = {}) {
  const head = element(
    '1a45dfa3',
    element('4282', 'matroska'),
    element('4287', '\x04'),
    element('4285', '\x02'),
  )
  const info = element('1549a966', element('2ad7b1', Buffer.from('0f4240', 'hex')))
  const video = element('e0', element('b0', '\x40'), element('ba', '\x40'))
  const one = element(
    'ae',
    element('d7', '\x01'),
    element('73c5', '\x01'),
    element('83', '\x01'),
    element('86', 'V_VP8'),
    video,
  )
  const frame = Buffer.from('81000080100200' + '9d012a40004000', 'hex')
  const cluster = element('1f43b675', element('e7', '\0'), element('a3', frame, blank(60)))
  return Buffer.concat([head, element('18538067', info, tracks ?? element('1654ae6b', one), more, cluster)])
}

/** FFmpeg keeps tags in a list, which it searches for every new name. */
function tags(count) {
  const names = Array.from({ length: count }, (_, at) =>
    element('67c8', element('45a3', at.toString(16).padStart(6, '0')), element('4487', '1')),
  )
  return matroska({ more: element('1254c367', element('7373', element('63c0'), ...names)) })
}

const emptyTracks = (count) =>
  matroska({ tracks: element('1654ae6b', Buffer.concat(Array(count).fill(Buffer.from('ae80', 'hex')))) })

const emptyLists = (count) => {
  const many = (id) => Buffer.concat(Array(count).fill(Buffer.from(id, 'hex')))
  return matroska({
    more: Buffer.concat([
      element('1c53bb6b', many('bb80')),
      element('1043a770', element('45b9', many('b680'))),
      element('1941a469', many('61a780')),
      element('1254c367', many('737380')),
    ]),
  })
}

/** A progressive JPEG whose scans take few bytes each, and make the decoder walk the whole picture. */
function scans(side, count) {
  const blocks = Math.ceil(side / 8) ** 2
  const code = (symbol) => [Buffer.from([1]), blank(15), Buffer.from([symbol])]
  const scan = (start, end, data) => [jpegSegment(0xda, Buffer.from([1, 1, 0, start, end, 0])), data]
  // Every DC value has the one-bit code 0. An end-of-band run of 16384 blocks takes that bit and fourteen more.
  const runs = Math.ceil(blocks / 16_384)
  const ac = scan(1, 63, blank(Math.ceil((runs * 15) / 8)))
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    jpegSegment(0xdb, blank(1), Buffer.alloc(64, 1)),
    jpegSegment(0xc2, Buffer.from([8]), u16(side, side), Buffer.from([1, 1, 0x11, 0])),
    jpegSegment(0xc4, Buffer.from([0]), ...code(0)),
    jpegSegment(0xc4, Buffer.from([0x10]), ...code(0xe0)),
    ...scan(0, 0, blank(Math.ceil(blocks / 8))),
    ...Array.from({ length: count }, () => ac).flat(),
    Buffer.from([0xff, 0xd9]),
  ])
}

const manyTexts = (count) =>
  png(...Array.from({ length: count }, (_, at) => pngChunk('tEXt', at.toString(16).padStart(6, '0'), '\0x')))

/** Chapters whose titles are the same 64 KiB of the file. */
function chapters(count) {
  const tables = Buffer.concat([
    full('stts', 0, u32(1, count, 1)),
    full('stsc', 0, u32(1, 1, 1, 1)),
    full('stsz', 0, u32(0xffff, count)),
    full('stco', 0, u32(count, ...Array(count).fill(40))),
  ])
  return movie(track(1, oneSize(1), box('tref', box('chap', u32(2)))), track(2, tables))
}

/** ID3, which FFmpeg reads in front of any container into a list that it searches for every name. */
function id3(count) {
  const frames = Array.from({ length: count }, (_, at) =>
    Buffer.concat([
      Buffer.from('TXXX'),
      u32(7),
      Buffer.from(`\0\0\0${at.toString(16).padStart(5, '0')}\0`, 'latin1'),
    ]),
  )
  const bytes = frames.length * 17
  const size = Buffer.from([21, 14, 7, 0].map((shift) => (bytes >> shift) & 0x7f))
  return Buffer.concat([Buffer.from('ID3\x03\0\0', 'latin1'), size, ...frames, movie(track(1, oneSize(4)))])
}

/** By name: how to make the file, whether it is a picture, and whether the short run includes it. */
export const bombs = {
  'stsz of 10 million samples': { make: () => movie(track(1, oneSize(10_000_000))) },
  'stsz of 170 million samples': { make: () => movie(track(1, oneSize(170_000_000))), short: true },
  'trun of 80 million samples': { make: () => fragment(80_000_000, 1), short: true },
  'trun of 10 million samples in 16 tracks': { make: () => fragment(10_000_000, 16) },
  'ctts of 2 thousand million': {
    make: () => movie(track(1, Buffer.concat([oneSize(100), full('ctts', 0, u32(1, 0x7fffffff, 5))]))),
  },
  '2,000 edits of 100,000 samples': { make: () => edits(2_000, 100_000), short: true },
  '20,000 edits of a million samples': { make: () => edits(20_000, 1_000_000) },
  '3,000 tracks': {
    make: () => movie(...Array.from({ length: 3_000 }, (_, at) => track(at + 1, oneSize(1)))),
  },
  'a compressed moov of 512 MiB': { make: () => compressedMovie(512 * MiB) },
  '50,000 tags': { make: () => tags(50_000), short: true },
  'a million empty tracks': { make: () => emptyTracks(1_000_000), short: true },
  'lists of a million empty elements': { make: () => emptyLists(1_000_000) },
  'a zTXt chunk of 512 MiB': {
    make: () => png(pngChunk('zTXt', 'k\0\0', squeezed(512 * MiB))),
    picture: true,
  },
  'an iCCP chunk of 512 MiB': {
    make: () => png(pngChunk('iCCP', 'p\0\0', squeezed(512 * MiB))),
    picture: true,
  },
  '50,000 text chunks': { make: () => manyTexts(50_000), picture: true, short: true },
  'a JPEG of 2,000 scans': { make: () => scans(8192, 2_000), picture: true, short: true },
  'a JPEG of 40,000 scans': { make: () => scans(8192, 40_000), picture: true },
  'a packet of 20,000 slices': { make: () => slices(20_000), short: true },
  'a packet of 2,000 slices': { make: () => slices(2_000) },
  '5,000 slices in a stream that FFmpeg probes': { make: () => rawSlices(5_000) },
  'a late stream of 256 megapixels': { make: lateStream },
  '100,000 comments of Speex': { make: () => oggComments(100_000), short: true },
  '100,000 chapters that share a title': { make: () => chapters(100_000), short: true },
  '45,000 texts of ID3': { make: () => id3(45_000), short: true },
  '500,000 NAL units of one byte': { make: () => emptyUnits(500_000), short: true },
  'a sample of 2,147,483,647 bytes': { make: () => movie(track(1, oneSize(2, 0x7fffffff))) },
}
