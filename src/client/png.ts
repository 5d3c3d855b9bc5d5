/** Encodes raw pixels as PNG: the HTTP interface takes pictures only as files. */

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

/** Encodes interleaved RGB, 3·width·height bytes, without loss. */
export async function encodePng(image: {
  width: number
  height: number
  data: Uint8Array
}): Promise<Uint8Array> {
  const { width, height, data } = image
  const header = new DataView(new ArrayBuffer(13))
  header.setUint32(0, width)
  header.setUint32(4, height)
  // Bit depth 8, colour type RGB; the zeros that follow are the only methods PNG defines, and no interlacing.
  header.setUint8(8, 8)
  header.setUint8(9, 2)
  // Each row starts with its filter type, 0 for none.
  const rows = new Uint8Array(height * (3 * width + 1))
  for (let y = 0; y < height; y++) {
    rows.set(data.subarray(3 * width * y, 3 * width * (y + 1)), y * (3 * width + 1) + 1)
  }
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'))
  const pixels = new Uint8Array(await new Response(packed).arrayBuffer())
  return concatBytes([
    Uint8Array.from(signature),
    ...chunk('IHDR', new Uint8Array(header.buffer)),
    ...chunk('IDAT', pixels),
    ...chunk('IEND', new Uint8Array(0)),
  ])
}

function chunk(type: string, data: Uint8Array): Uint8Array[] {
  const name = Uint8Array.from(type, (letter) => letter.charCodeAt(0))
  return [bigEndian(data.length), name, data, bigEndian(crc32([name, data]))]
}

function bigEndian(value: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4))
  bytes.setUint32(0, value)
  return new Uint8Array(bytes.buffer)
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1
  return crc
})

function crc32(parts: readonly Uint8Array[]): number {
  let crc = 0xffffffff
  for (const part of parts)
    for (const byte of part) crc = (crcTable[(crc ^ byte) & 255] as number) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
