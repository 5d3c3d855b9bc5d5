/** What a live stream is cut into: the coded pictures of one video track, and how they become a video again. */
import { LimitError } from '../errors.ts'

/** One coded picture, or one field of it, with its times in units of its track's clock. Times never wrap. */
export interface Unit {
  track: Track
  pts: number
  dts: number
  /** Whether decoding can begin here. */
  key: boolean
  /** Its bytes as the stream had them: a sample of an MP4, or whole packets of a transport stream. */
  bytes: Uint8Array
  /** Of an MP4's sample: its duration and flags. */
  duration?: number
  flags?: number
}

/** A video track between two changes of its format. */
export interface Track {
  /** Ticks per second of its clock. */
  timescale: number
  /** A video that a decoder opens by itself. The first unit is a keyframe. */
  assemble(units: readonly Unit[]): Uint8Array
}

/** Finds the units of a container's video in bytes that come in pieces of any length. */
export interface Demuxer {
  /** The units that these bytes complete. Throws MediaError, EncryptedMediaError or LimitError. */
  push(chunk: Uint8Array): Unit[]
  /** The last unit, which only the end of the stream completes. */
  end(): Unit[]
}

/** Bounds of what a parser keeps of a stream that it does not trust. */
export interface ParserLimits {
  /** Bytes of one picture, or of one fragment. */
  maxBytes: number
}

/** A copy of a part of the stream, whose bytes belong to the source. `slice` of a Buffer would not be one. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

export function tooLong(what: string, { maxBytes }: ParserLimits): LimitError {
  return new LimitError(`${what} of the live stream is larger than maxBytes ${maxBytes}`, {
    details: { limit: maxBytes },
  })
}
