/** Where media comes from, before anything was read. */
import type { RgbImage } from '#binding'

/** A Node `Readable`, a web `ReadableStream` or anything else that yields chunks of bytes. */
export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** Bytes in memory, of this realm or another (Jest's, a `vm` context's). */
export type Bytes = Uint8Array | ArrayBuffer

export type VideoSource =
  | { type: 'path'; path: string }
  | { type: 'bytes'; bytes: Uint8Array }
  | { type: 'blob'; blob: Blob }
  | { type: 'url'; url: string }
  | { type: 'stream'; stream: ByteStream }

/** One still picture: JPEG, PNG or WebP by path, bytes or URL, or raw RGB. */
export type FrameSource =
  | { type: 'path'; path: string }
  | { type: 'bytes'; bytes: Uint8Array }
  | { type: 'blob'; blob: Blob }
  | { type: 'url'; url: string }
  | { type: 'image'; image: RgbImage }
