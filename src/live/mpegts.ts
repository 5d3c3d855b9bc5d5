/** Reads the video of an MPEG transport stream as it comes: one unit per PES packet. */
import { EncryptedMediaError, MediaError } from '../errors.ts'
import { beginsGop, videoTypes } from './keyframe.ts'
import {
  type ElementaryStream,
  elementaryStreams,
  PACKET_BYTES,
  programMaps,
  SectionReader,
  tablesFor,
} from './mpegts-sections.ts'
import { copyOf, type Demuxer, type ParserLimits, type Track, tooLong, type Unit } from './units.ts'

const SYNC = 0x47
const TIMESCALE = 90_000
const CLOCK = 2 ** 33
/** Bytes without packets after which the stream counts as something else. */
const MAX_LOST = 1 << 20
const MAX_PROGRAMS = 64

/** A PES packet that is being received, as the packets that carry it. */
interface OpenUnit {
  pts: number
  dts: number
  flagged: boolean
  packets: Uint8Array[]
}

export class TransportStream implements Demuxer {
  readonly #limits: ParserLimits
  #rest: Uint8Array = new Uint8Array(0)
  #lost = 0
  readonly #association = new SectionReader()
  #maps = new Map<number, SectionReader>()
  /** PID of the program map that names the video. */
  #chosen: number | undefined
  #stream: ElementaryStream | undefined
  #track: Track | undefined
  #open: OpenUnit | undefined
  /** The last decoding time, counted past the wraps of the stream's 33 bits. */
  #clock: number | undefined
  /** Whether the stream marks random access points. Otherwise the pictures tell. */
  #marks = false
  #done: Unit[] = []

  constructor(limits: ParserLimits) {
    this.#limits = limits
  }

  push(chunk: Uint8Array): Unit[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (at + PACKET_BYTES <= bytes.length) {
      if (bytes[at] === SYNC && (this.#lost === 0 || (bytes[at + PACKET_BYTES] ?? SYNC) === SYNC)) {
        this.#lost = 0
        this.#packet(bytes.subarray(at, at + PACKET_BYTES))
        at += PACKET_BYTES
      } else {
        at++
        if (++this.#lost > MAX_LOST) throw new MediaError('the live stream is no MPEG-TS any more')
      }
    }
    this.#rest = copyOf(bytes.subarray(at))
    return this.#take()
  }

  end(): Unit[] {
    this.#finish()
    return this.#take()
  }

  #take(): Unit[] {
    return this.#done.splice(0)
  }

  #packet(packet: Uint8Array): void {
    const flags = packet[1] as number
    const control = packet[3] as number
    const pid = ((flags & 0x1f) << 8) | (packet[2] as number)
    const isDamaged = (flags & 0x80) !== 0
    if (isDamaged) return
    const begins = (flags & 0x40) !== 0
    const adaptation = control & 0x20 ? 1 + (packet[4] as number) : 0
    const payload = control & 0x10 ? packet.subarray(4 + adaptation) : packet.subarray(PACKET_BYTES)
    if (pid === 0) this.#readAssociation(payload, begins)
    else if (pid === this.#stream?.pid) {
      if (control & 0xc0) throw new EncryptedMediaError('the video of the live stream is scrambled')
      const flagged = adaptation > 1 && ((packet[5] as number) & 0x40) !== 0
      this.#video(packet, payload, begins, flagged)
    } else this.#readMap(pid, payload, begins)
  }

  #readAssociation(payload: Uint8Array, begins: boolean): void {
    const section = this.#association.add(payload, begins)
    if (!section) return
    const pids = programMaps(section).slice(0, MAX_PROGRAMS)
    this.#maps = new Map(pids.map((pid) => [pid, this.#maps.get(pid) ?? new SectionReader()]))
    if (this.#chosen !== undefined && !this.#maps.has(this.#chosen)) this.#chosen = undefined
  }

  #readMap(pid: number, payload: Uint8Array, begins: boolean): void {
    const section = this.#maps.get(pid)?.add(payload, begins)
    if (!section || (this.#chosen !== undefined && this.#chosen !== pid)) return
    const video = elementaryStreams(section).find(({ type }) => videoTypes.has(type))
    if (!video) return
    this.#chosen = pid
    if (video.pid === this.#stream?.pid && video.type === this.#stream.type) return
    this.#finish()
    this.#stream = video
    this.#marks = false
    this.#track = trackOf(video)
  }

  #video(packet: Uint8Array, payload: Uint8Array, begins: boolean, flagged: boolean): void {
    const times = begins ? pesTimes(payload) : undefined
    if (times) {
      this.#finish()
      const dts = this.#unwrap(times.dts)
      this.#open = { dts, pts: dts + signed(times.pts - times.dts), flagged, packets: [copyOf(packet)] }
      this.#marks ||= flagged
    } else if (this.#open) {
      // What begins without a time belongs to the picture before it.
      this.#open.packets.push(copyOf(packet))
      if (this.#open.packets.length * PACKET_BYTES > this.#limits.maxBytes)
        throw tooLong('a picture', this.#limits)
    }
  }

  #unwrap(time: number): number {
    const before = this.#clock
    this.#clock = before === undefined ? time : before + signed((time - before) % CLOCK)
    return this.#clock
  }

  #finish(): void {
    const { packets, flagged, pts, dts } = this.#open ?? {}
    this.#open = undefined
    const type = this.#stream?.type
    if (!packets || pts === undefined || dts === undefined || !this.#track || type === undefined) return
    const key = this.#marks ? flagged === true : beginsGop(type, packets)
    this.#done.push({ track: this.#track, pts, dts, key, bytes: Buffer.concat(packets) })
  }
}

function trackOf(stream: ElementaryStream): Track {
  const tables = tablesFor(stream)
  return {
    timescale: TIMESCALE,
    assemble: (units) => Buffer.concat([tables, ...units.map(({ bytes }) => bytes)]),
  }
}

/** A difference of two times that may lie on both sides of a wrap. */
function signed(difference: number): number {
  const positive = ((difference % CLOCK) + CLOCK) % CLOCK
  return positive >= CLOCK / 2 ? positive - CLOCK : positive
}

/** The times in the header of a PES packet; undefined when it has none. */
function pesTimes(payload: Uint8Array): { pts: number; dts: number } | undefined {
  if (payload.length < 14 || payload[0] !== 0 || payload[1] !== 0 || payload[2] !== 1) return undefined
  const flags = (payload[7] as number) >> 6
  if (flags < 2) return undefined
  const pts = timeAt(payload, 9)
  return { pts, dts: flags === 3 && payload.length >= 19 ? timeAt(payload, 14) : pts }
}

function timeAt(bytes: Uint8Array, at: number): number {
  const [a, b, c, d, e] = bytes.subarray(at, at + 5) as unknown as [number, number, number, number, number]
  return ((a >> 1) & 7) * 2 ** 30 + (b << 22) + ((c >> 1) << 15) + (d << 7) + (e >> 1)
}
