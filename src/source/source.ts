/** Where media comes from, before any of it is read. */
import type { RgbImage } from '#binding'

/** A Node `Readable`, a web `ReadableStream` or anything else that yields chunks of bytes. */
export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** Bytes in memory, from this realm or another one (Jest, `vm`). */
export type Bytes = Uint8Array | ArrayBuffer

/** Where a video comes from. */
export type VideoSource =
  | { type: 'path'; path: string }
  | { type: 'bytes'; bytes: Uint8Array }
  | { type: 'blob'; blob: Blob }
  | { type: 'url'; url: string }
  | { type: 'stream'; stream: ByteStream }

/** Where a still picture comes from: JPEG, PNG or WebP, or raw RGB as `image`. */
export type FrameSource =
  | { type: 'path'; path: string }
  | { type: 'bytes'; bytes: Uint8Array }
  | { type: 'blob'; blob: Blob }
  | { type: 'url'; url: string }
  | { type: 'image'; image: RgbImage }
