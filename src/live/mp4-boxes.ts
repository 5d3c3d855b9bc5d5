/** Boxes of fragmented MP4 (ISO/IEC 14496-12): those that tell of the video track, and the fragment that is written of it. */
import { MediaError } from '../errors.ts'
import type { Unit } from './units.ts'

/** The largest number of samples of one fragment; a minute of video at 1000 pictures a second. */
const MAX_SAMPLES = 60_000
const NOT_SYNC = 0x10000

export interface Box {
  type: string
  /** Without the box's header. */
  body: DataView
}

/** What the init segment says of the video track. */
export interface VideoTrack {
  id: number
  timescale: number
  /** Defaults of its samples, from `trex`. */
  duration: number
  size: number
  flags: number
}

/** A sample of a fragment. `offset` counts from the first byte of the stream. */
export interface Sample {
  offset: number
  size: number
  duration: number
  flags: number
  dts: number
  pts: number
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The boxes within a box. What is cut off or contradicts itself ends the list. */
export function* boxes(view: DataView, from = 0): Generator<Box, void, undefined> {
  for (let at = from; at + 8 <= view.byteLength; ) {
    let size = view.getUint32(at)
    let header = 8
    if (size === 1 && at + 16 <= view.byteLength) {
      size = Number(view.getBigUint64(at + 8))
      header = 16
    }
    if (size === 0) size = view.byteLength - at
    if (size < header || at + size > view.byteLength) return
    const body = new DataView(view.buffer, view.byteOffset + at + header, size - header)
    yield { type: typeAt(view, at + 4), body }
    at += size
  }
}

export function typeAt(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)))
}

function find(view: DataView | undefined, ...path: string[]): DataView | undefined {
  let here = view
  for (const type of path) {
    if (!here) return undefined
    here = [...boxes(here)].find((box) => box.type === type)?.body
  }
  return here
}

/** The first video track of a movie box. Throws MediaError when there is none or it comes without fragments. */
export function videoTrackOf(moov: DataView): VideoTrack {
  const traks = [...boxes(moov)].filter(({ type }) => type === 'trak').map(({ body }) => body)
  const trak = traks.find((body) => {
    const handler = find(body, 'mdia', 'hdlr')
    return handler !== undefined && handler.byteLength >= 12 && typeAt(handler, 8) === 'vide'
  })
  if (!trak) throw new MediaError('the live stream has no video track')
  const id = afterTimes(find(trak, 'tkhd'))
  const timescale = afterTimes(find(trak, 'mdia', 'mdhd'))
  if (!id || !timescale) throw new MediaError('the video track of the live stream has no id or no clock')
  const mvex = find(moov, 'mvex')
  if (!mvex) {
    throw new MediaError(
      'the live stream is an MP4 without fragments: embed it as a file, or write it with fragments',
    )
  }
  const extended = [...boxes(mvex)].filter(({ type, body }) => type === 'trex' && body.byteLength >= 24)
  const trex = extended.find(({ body }) => body.getUint32(4) === id)?.body
  const [duration = 0, size = 0, flags = 0] = trex ? [12, 16, 20].map((at) => trex.getUint32(at)) : []
  return { id, timescale, duration, size, flags }
}

/** The field behind the two times that `tkhd` and `mdhd` begin with. */
function afterTimes(box: DataView | undefined): number | undefined {
  if (!box || box.byteLength < 24) return undefined
  return box.getUint32(box.getUint8(0) === 1 ? 20 : 12)
}

/**
 * The samples of the track in a movie fragment that begins at `start`. `clock` is where its time goes on when the fragment
 * has none of its own.
 */
export function samplesOf(moof: DataView, track: VideoTrack, start: number, clock: number): Sample[] {
  const samples: Sample[] = []
  let dts = clock
  for (const { type, body } of boxes(moof)) {
    if (type !== 'traf') continue
    const tfhd = find(body, 'tfhd')
    if (!tfhd || tfhd.byteLength < 8 || tfhd.getUint32(4) !== track.id) continue
    const header = readHeader(tfhd, track)
    const base = header.base ?? start
    const tfdt = find(body, 'tfdt')
    if (tfdt && tfdt.byteLength >= 8) dts = timeOf(tfdt)
    let offset = base
    for (const run of boxes(body)) {
      if (run.type !== 'trun') continue
      const read = readRun(run.body, header, { base, offset, dts })
      samples.push(...read.samples)
      ;({ offset, dts } = read)
      if (samples.length > MAX_SAMPLES)
        throw new MediaError(`a fragment of the live stream has more than ${MAX_SAMPLES} samples`)
    }
  }
  return samples
}

type Header = Pick<VideoTrack, 'duration' | 'size' | 'flags'> & { base: number | undefined }

function readHeader(tfhd: DataView, { duration, size, flags }: VideoTrack): Header {
  const fields = reader(tfhd, 8)
  const has = tfhd.getUint32(0)
  const base = has & 0x01 ? fields.uint64() : undefined
  if (has & 0x02) fields.uint32()
  return {
    base,
    duration: has & 0x08 ? fields.uint32() : duration,
    size: has & 0x10 ? fields.uint32() : size,
    flags: has & 0x20 ? fields.uint32() : flags,
  }
}

function timeOf(tfdt: DataView): number {
  const fields = reader(tfdt, 4)
  return tfdt.getUint8(0) === 1 ? fields.uint64() : fields.uint32()
}

function readRun(
  trun: DataView,
  header: Header,
  at: { base: number; offset: number; dts: number },
): { samples: Sample[]; offset: number; dts: number } {
  const fields = reader(trun, 4)
  const has = trun.getUint32(0)
  const count = fields.uint32()
  if (count > MAX_SAMPLES)
    throw new MediaError(`a fragment of the live stream claims to have ${count} samples`)
  let offset = has & 0x01 ? at.base + fields.int32() : at.offset
  const firstFlags = has & 0x04 ? fields.uint32() : undefined
  let { dts } = at
  const samples: Sample[] = []
  for (let i = 0; i < count; i++) {
    const duration = has & 0x100 ? fields.uint32() : header.duration
    const size = has & 0x200 ? fields.uint32() : header.size
    const own = has & 0x400 ? fields.uint32() : header.flags
    // Version 0 has no sign, but writers that need one put it there, and all readers take it.
    const pts = has & 0x800 ? dts + fields.int32() : dts
    const flags = i === 0 && firstFlags !== undefined ? firstFlags : own
    samples.push({ offset, size, duration, flags, dts, pts })
    offset += size
    dts += duration
  }
  return { samples, offset, dts }
}

/** Reads fields one after the other. Throws MediaError at the end of the box. */
function reader(view: DataView, from: number) {
  let at = from
  const advance = (bytes: number) => {
    if (at + bytes > view.byteLength) throw new MediaError('a fragment of the live stream ends early')
    at += bytes
    return at - bytes
  }
  return {
    uint32: () => view.getUint32(advance(4)),
    int32: () => view.getInt32(advance(4)),
    uint64: () => {
      const value = view.getBigUint64(advance(8))
      if (value > BigInt(Number.MAX_SAFE_INTEGER))
        throw new MediaError('a time or a place in the live stream is out of range')
      return Number(value)
    },
  }
}

export const isSync = (flags: number): boolean => (flags & NOT_SYNC) === 0

/** One fragment with these samples, each with a size, a duration, flags and the time to show it. */
export function fragment(trackId: number, units: readonly Unit[]): Uint8Array[] {
  const run = new DataView(new ArrayBuffer(12 + units.length * 16))
  const moofSize = 8 + 16 + 8 + 16 + 20 + 8 + run.byteLength
  run.setUint32(0, 0x01_000f01)
  run.setUint32(4, units.length)
  run.setInt32(8, moofSize + 16)
  units.forEach(({ pts, dts, bytes, duration = 0, flags = 0 }, i) => {
    const at = 12 + i * 16
    run.setUint32(at, duration)
    run.setUint32(at + 4, bytes.byteLength)
    run.setUint32(at + 8, flags)
    run.setInt32(at + 12, pts - dts)
  })
  const time = new DataView(new ArrayBuffer(12))
  time.setUint32(0, 0x01_000000)
  time.setBigUint64(4, BigInt(units[0]?.dts ?? 0))
  const traf = [box('tfhd', words(0x020000, trackId)), box('tfdt', time), box('trun', run)]
  const moof = box('moof', box('mfhd', words(0, 1)), box('traf', ...traf))
  const data = units.map(({ bytes }) => bytes)
  const header = new Uint8Array(16)
  header.set([0, 0, 0, 1, ...letters('mdat')])
  const dataSize = data.reduce((sum, { byteLength }) => sum + byteLength, 0)
  viewOf(header).setBigUint64(8, BigInt(header.length + dataSize))
  return [moof, header, ...data]
}

const letters = (type: string) => [...type].map((letter) => letter.charCodeAt(0))

function words(...values: number[]): DataView {
  const view = new DataView(new ArrayBuffer(4 * values.length))
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value)
  return view
}

/** A box of these contents. */
export function box(type: string, ...content: (DataView | Uint8Array)[]): Uint8Array {
  const parts = content.map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  )
  const bytes = new Uint8Array(8 + parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  viewOf(bytes).setUint32(0, bytes.byteLength)
  bytes.set(letters(type), 4)
  let at = 8
  for (const part of parts) {
    bytes.set(part, at)
    at += part.byteLength
  }
  return bytes
}
