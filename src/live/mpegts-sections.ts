/** The tables of an MPEG transport stream (ISO/IEC 13818-1, section 2.4.4): read from its packets, and written into new ones. */
import { copyOf } from './units.ts'

export const PACKET_BYTES = 188
const SYNC = 0x47
const PAT_PID = 0
const PMT_PID = 0x1000
const PROGRAM = 1

/** An elementary stream of a program. */
export interface ElementaryStream {
  type: number
  pid: number
  descriptors: Uint8Array
}

/** Joins the packets of one PID to sections. Sections with a wrong checksum are ignored, as every receiver does. */
export class SectionReader {
  #bytes: Uint8Array[] = []
  #length = 0
  /** The length that its header tells. */
  #whole: number | undefined

  /** Adds the payload of a packet. Returns the section that it completes. */
  add(payload: Uint8Array, begins: boolean): Uint8Array | undefined {
    let part = payload
    if (begins) {
      this.#reset()
      part = payload.subarray(1 + (payload[0] ?? 0))
    } else if (this.#length === 0) {
      return undefined
    }
    if (part.length === 0) return undefined
    this.#bytes.push(copyOf(part))
    this.#length += part.length
    // Joined only when it is whole, so that a section in many small parts takes no more time than one in few.
    if (this.#length < 3) return undefined
    this.#whole ??= 3 + word(Buffer.concat(this.#bytes), 1, 0xfff)
    // The length has 12 bits, so a section never keeps more than 4 KiB.
    const whole = this.#whole
    if (this.#length < whole) return undefined
    const section = Buffer.concat(this.#bytes).subarray(0, whole)
    this.#reset()
    return whole >= 12 && crc32(section) === 0 ? section : undefined
  }

  #reset(): void {
    this.#bytes = []
    this.#length = 0
    this.#whole = undefined
  }
}

/** The PIDs of the program maps that a program association table lists. */
export function programMaps(section: Uint8Array): number[] {
  if (section[0] !== 0x00) return []
  const pids: number[] = []
  for (let at = 8; at + 4 <= section.length - 4; at += 4) {
    if (word(section, at, 0xffff) !== 0) pids.push(word(section, at + 2, 0x1fff))
  }
  return pids
}

/** The elementary streams that a program map lists. */
export function elementaryStreams(section: Uint8Array): ElementaryStream[] {
  if (section[0] !== 0x02) return []
  const streams: ElementaryStream[] = []
  const end = section.length - 4
  let at = 12 + word(section, 10, 0xfff)
  while (at + 5 <= end) {
    const length = word(section, at + 3, 0xfff)
    const descriptors = copyOf(section.subarray(at + 5, Math.min(at + 5 + length, end)))
    streams.push({ type: section[at] as number, pid: word(section, at + 1, 0x1fff), descriptors })
    at += 5 + length
  }
  return streams
}

/** Packets with the tables of a program of one stream: without audio, a decoder need not look for it. */
export function tablesFor({ type, pid, descriptors }: ElementaryStream): Uint8Array {
  const mapPid = pid === PMT_PID ? PMT_PID + 1 : PMT_PID
  const association = section(0x00, PROGRAM, [...pair(PROGRAM), ...pair(0xe000 | mapPid)])
  // One packet holds one section here, so descriptors that would not fit are left out. No decoder needs them.
  const kept = descriptors.length <= 128 ? descriptors : []
  const map = section(0x02, PROGRAM, [
    ...pair(0xe000 | pid),
    ...pair(0xf000),
    type,
    ...pair(0xe000 | pid),
    ...pair(0xf000 | kept.length),
    ...kept,
  ])
  return Buffer.concat([packet(PAT_PID, association), packet(mapPid, map)])
}

function section(table: number, id: number, body: number[]): Uint8Array {
  const bytes = [table, ...pair(0xb000 | (body.length + 9)), ...pair(id), 0xc1, 0, 0, ...body]
  const crc = crc32(bytes)
  return Uint8Array.from([...bytes, crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255])
}

function packet(pid: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PACKET_BYTES).fill(0xff)
  bytes.set([SYNC, 0x40 | (pid >> 8), pid & 255, 0x10, 0])
  bytes.set(content, 5)
  return bytes
}

const pair = (value: number) => [(value >> 8) & 255, value & 255]

function word(bytes: Uint8Array, at: number, mask: number): number {
  return (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)) & mask
}

/** The checksum of MPEG-2 sections. Over a section with its checksum it is 0. */
function crc32(bytes: Iterable<number>): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  }
  return crc >>> 0
}
