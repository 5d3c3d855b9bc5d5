/** Chooses the parser of a live stream by its first bytes. */
import { MediaError } from '../errors.ts'
import { FragmentedMp4 } from './mp4.ts'
import { typeAt, viewOf } from './mp4-boxes.ts'
import { TransportStream } from './mpegts.ts'
import { PACKET_BYTES } from './mpegts-sections.ts'
import type { Demuxer, ParserLimits, Unit } from './units.ts'

const SYNC = 0x47
/** A receiver that joins a broadcast may begin within a packet. */
const PROBE_BYTES = 4 * PACKET_BYTES
const FIRST_BOXES = new Set([
  'ftyp',
  'styp',
  'moov',
  'moof',
  'mdat',
  'free',
  'skip',
  'sidx',
  'emsg',
  'prft',
  'uuid',
  'wide',
])

/** A demuxer that waits until the stream tells what it is. */
export class LiveDemuxer implements Demuxer {
  readonly #limits: ParserLimits
  #head: Uint8Array = new Uint8Array(0)
  #inner: Demuxer | undefined

  constructor(limits: ParserLimits) {
    this.#limits = limits
  }

  push(chunk: Uint8Array): Unit[] {
    if (this.#inner) return this.#inner.push(chunk)
    this.#head = Buffer.concat([this.#head, chunk])
    if (this.#head.length < PROBE_BYTES && !isMp4(this.#head)) return []
    return this.#begin()
  }

  end(): Unit[] {
    const units = this.#inner || this.#head.length === 0 ? [] : this.#begin()
    return [...units, ...(this.#inner?.end() ?? [])]
  }

  #begin(): Unit[] {
    const head = this.#head
    this.#head = new Uint8Array(0)
    if (isMp4(head)) this.#inner = new FragmentedMp4(this.#limits)
    else if (isTransportStream(head)) this.#inner = new TransportStream(this.#limits)
    else throw new MediaError(refusal(head))
    return this.#inner.push(head)
  }
}

function isMp4(head: Uint8Array): boolean {
  return head.length >= 8 && FIRST_BOXES.has(typeAt(viewOf(head), 4))
}

function isTransportStream(head: Uint8Array): boolean {
  for (let first = 0; first < PACKET_BYTES; first++) {
    let at = first
    while (at < head.length && head[at] === SYNC) at += PACKET_BYTES
    if (at >= head.length && at - first >= 2 * PACKET_BYTES) return true
  }
  return false
}

function refusal(head: Uint8Array): string {
  const text = Buffer.from(head.subarray(0, 16)).toString('latin1')
  const taken = 'live takes MPEG-TS and fragmented MP4'
  if (text.startsWith('#EXTM3U') || text.startsWith('<?xml') || text.startsWith('<MPD')) {
    return `the live stream is a playlist: ${taken}, so let ffmpeg or the player's library fetch the segments and pass on their bytes`
  }
  const known: [string, string][] = [
    ['\x1aE\xdf\xa3', 'Matroska or WebM'],
    ['FLV', 'Flash Video'],
    ['RIFF', 'AVI or WAVE'],
    ['OggS', 'Ogg'],
    ['<', 'a text such as HTML'],
    ['{', 'JSON'],
  ]
  const name = known.find(([start]) => text.startsWith(start))?.[1]
  const found =
    name ??
    `of a kind that is not known (its first bytes are ${Buffer.from(head.subarray(0, 8)).toString('hex')})`
  return `the live stream is ${found}: ${taken}`
}
