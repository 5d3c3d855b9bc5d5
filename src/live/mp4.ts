/** Reads the video of a fragmented MP4 as it comes: one unit per sample of the video track. */
import { MediaError } from '../errors.ts'
import {
  box,
  fragment,
  isSync,
  type Sample,
  samplesOf,
  typeAt,
  type VideoTrack,
  videoTrackOf,
  viewOf,
} from './mp4-boxes.ts'
import { copyOf, type Demuxer, type ParserLimits, type Track, tooLong, type Unit } from './units.ts'

/** Boxes that are read. All others are passed over without being kept, whatever their size. */
const KEPT = new Set(['ftyp', 'moov', 'moof', 'mdat'])
const MAX_TABLES = 4 << 20

interface OpenBox {
  type: string
  /** Where its body begins, counted from the first byte of the stream. */
  start: number
  left: number
  parts: Uint8Array[]
}

export class FragmentedMp4 implements Demuxer {
  readonly #limits: ParserLimits
  #header: Uint8Array = new Uint8Array(0)
  #box: OpenBox | undefined
  /** Bytes of the stream before those of `push`. */
  #position = 0
  #fileType: Uint8Array = new Uint8Array(0)
  #movie: Uint8Array | undefined
  #video: VideoTrack | undefined
  #track: Track | undefined
  #fragment: Sample[] = []
  #fragmentStart = 0
  #clock = 0

  constructor(limits: ParserLimits) {
    this.#limits = limits
  }

  push(chunk: Uint8Array): Unit[] {
    const units: Unit[] = []
    let rest = chunk
    while (rest.length > 0) {
      const taken = this.#box ? this.#body(this.#box, rest, units) : this.#head(rest)
      this.#position += taken
      rest = rest.subarray(taken)
      // A box without a body is complete with its header.
      if (this.#box?.left === 0) this.#complete(this.#box, units)
    }
    return units
  }

  end(): Unit[] {
    return []
  }

  /** Takes bytes of a box's header, which has 8 or 16. */
  #head(bytes: Uint8Array): number {
    const wanted = this.#header.length < 8 || viewOf(this.#header).getUint32(0) !== 1 ? 8 : 16
    const taken = Math.min(bytes.length, wanted - this.#header.length)
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, taken)])
    const view = viewOf(this.#header)
    if (this.#header.length < 8) return taken
    const small = view.getUint32(0)
    if (small === 1 && this.#header.length < 16) return taken
    const type = typeAt(view, 4)
    const size = small === 1 ? Number(view.getBigUint64(8)) : small
    const left = size - this.#header.length
    if (left < 0 || !/^[\x20-\x7e\xa9]{4}$/.test(type)) {
      throw new MediaError(
        `the live stream has no box of MP4 at byte ${this.#position + taken - this.#header.length}`,
      )
    }
    if (type === 'moof') this.#fragmentStart = this.#position + taken - this.#header.length
    this.#header = new Uint8Array(0)
    const most = type === 'mdat' ? this.#limits.maxBytes : Math.min(MAX_TABLES, this.#limits.maxBytes)
    if (KEPT.has(type) && left > most) throw tooLong(`the box "${type}" (${left} bytes)`, { maxBytes: most })
    this.#box = { type, start: this.#position + taken, left, parts: [] }
    return taken
  }

  #body(open: OpenBox, bytes: Uint8Array, units: Unit[]): number {
    const taken = Math.min(bytes.length, open.left)
    if (taken > 0 && KEPT.has(open.type)) open.parts.push(copyOf(bytes.subarray(0, taken)))
    open.left -= taken
    if (open.left === 0) this.#complete(open, units)
    return taken
  }

  #complete(open: OpenBox, units: Unit[]): void {
    this.#box = undefined
    if (!KEPT.has(open.type)) return
    const [only] = open.parts
    const body = open.parts.length === 1 && only ? only : Buffer.concat(open.parts)
    if (open.type === 'ftyp') this.#fileType = box('ftyp', body)
    else if (open.type === 'moov') this.#readMovie(body)
    else if (open.type === 'moof') this.#readFragment(body)
    else this.#readData(body, open.start, units)
  }

  /** A later init segment that equals the first, as some servers send before every fragment, changes nothing. */
  #readMovie(body: Uint8Array): void {
    if (this.#movie && Buffer.compare(this.#movie, body) === 0) return
    this.#movie = body
    const video = videoTrackOf(viewOf(body))
    this.#video = video
    const init = Buffer.concat([this.#fileType, box('moov', body)])
    this.#track = {
      timescale: video.timescale,
      assemble: (units) => Buffer.concat([init, ...fragment(video.id, units)]),
    }
    this.#clock = 0
    this.#fragment = []
  }

  #readFragment(body: Uint8Array): void {
    if (!this.#video) {
      throw new MediaError(
        'the live stream begins with a fragment of MP4 and without its init segment: begin with the init segment',
      )
    }
    this.#fragment = samplesOf(viewOf(body), this.#video, this.#fragmentStart, this.#clock)
    const last = this.#fragment.at(-1)
    if (last) this.#clock = last.dts + last.duration
  }

  #readData(body: Uint8Array, start: number, units: Unit[]): void {
    const track = this.#track
    if (!track) {
      throw new MediaError(
        'the live stream is an MP4 whose pictures come before its tables: embed it as a file, or write it with fragments',
      )
    }
    const left: Sample[] = []
    for (const sample of this.#fragment) {
      const { offset, size, pts, dts, duration, flags } = sample
      const from = offset - start
      if (from < 0 || from + size > body.length) {
        left.push(sample)
      } else if (size > 0) {
        // A copy, so that a fragment's audio is not kept with its pictures.
        const bytes = copyOf(body.subarray(from, from + size))
        units.push({ track, pts, dts, key: isSync(flags), bytes, duration, flags })
      }
    }
    // A fragment may have its data in several boxes. Samples that lie in none of them are lost with the next fragment.
    this.#fragment = left
  }
}
