// The building blocks of containers: MP4 boxes, EBML elements, PNG chunks, JPEG segments.

import { crc32, deflateSync, constants as zlib } from 'node:zlib'

export const u16 = (...values) => {
  const bytes = Buffer.alloc(2 * values.length)
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, 2 * at)
  return bytes
}

export const u32 = (...values) => {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, 4 * at)
  return bytes
}

const join = (parts) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
export const blank = (count) => Buffer.alloc(count)

/** An MP4 box. */
export function box(kind, ...parts) {
  const data = join(parts)
  return join([u32(8 + data.length), kind, data])
}

/** An MP4 box with a version and flags. */
export const full = (kind, flags, ...parts) => box(kind, u32(flags), ...parts)

/** An EBML element; `id` in hexadecimal. */
export function element(id, ...parts) {
  const data = join(parts)
  const size = Buffer.alloc(8)
  size.writeBigUInt64BE((1n << 56n) | BigInt(data.length))
  return join([Buffer.from(id, 'hex'), data.length < 127 ? Buffer.from([0x80 | data.length]) : size, data])
}

export function pngChunk(kind, ...parts) {
  const data = join([kind, ...parts])
  return join([u32(data.length - 4), data, u32(crc32(data))])
}

/** A small PNG with the `extra` chunks. */
export function png(...extra) {
  const [width, height] = [8, 8]
  const row = Buffer.concat([blank(1), Buffer.alloc(3 * width, 0x80)])
  return join([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', u32(width, height), Buffer.from([8, 2, 0, 0, 0])),
    ...extra,
    pngChunk('IDAT', deflateSync(Buffer.concat(Array(height).fill(row)))),
    pngChunk('IEND'),
  ])
}

/** That many equal bytes, compressed about a thousand times. */
export const squeezed = (bytes) => deflateSync(Buffer.alloc(bytes, 'a'), { level: zlib.Z_BEST_COMPRESSION })

export const jpegSegment = (marker, ...parts) => {
  const data = join(parts)
  return join([Buffer.from([0xff, marker]), u16(data.length + 2), data])
}
