/** A progressive JPEG whose many scans change nothing but take long to decode. */
export function slowPicture(size, scans) {
  const segment = (marker, ...content) => {
    const head = Buffer.from([0xff, marker, 0, 0])
    head.writeUInt16BE(content.length + 2, 2)
    return Buffer.concat([head, Buffer.from(content)])
  }
  const one = [1, ...Array(15).fill(0)] // a table of one code
  const blocks = (size / 8) ** 2
  const scan = Buffer.concat([segment(0xda, 1, 1, 0, 1, 63, 0), Buffer.alloc(2 * Math.ceil(blocks / 16384))])
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, 0, ...Array(64).fill(1)),
    segment(0xc2, 8, size >> 8, size & 255, size >> 8, size & 255, 1, 1, 0x11, 0),
    segment(0xc4, 0, ...one, 0),
    segment(0xc4, 0x10, ...one, 0xe0),
    segment(0xda, 1, 1, 0, 0, 0, 0),
    Buffer.alloc(blocks / 8),
    ...Array(scans).fill(scan),
    Buffer.from([0xff, 0xd9]),
  ])
}
