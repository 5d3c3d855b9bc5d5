/** Recognises keyframes in transport streams whose packets do not mark them. */

const MPEG1 = 0x01
const MPEG2 = 0x02
const MPEG4 = 0x10
const H264 = 0x1b
const HEVC = 0x24

/** The stream types of the video codecs that transport streams carry and the decoders know. */
export const videoTypes: ReadonlySet<number> = new Set([MPEG1, MPEG2, MPEG4, H264, HEVC])

/** The headers that precede a keyframe, or the keyframe itself, by the byte that follows a start code. */
const begins: Readonly<Record<number, (code: number) => boolean>> = {
  [MPEG1]: (code) => code === 0xb3,
  [MPEG2]: (code) => code === 0xb3,
  [MPEG4]: (code) => code === 0xb0 || code === 0xb3,
  [H264]: (code) => (code & 31) === 5 || (code & 31) === 7,
  [HEVC]: (code) => ((code >> 1) & 63) === 32 || ((code >> 1) & 63) === 33 || isHevcIrap((code >> 1) & 63),
}

const isHevcIrap = (type: number) => type >= 16 && type <= 21

/** The headers of a picture come in its first packets. */
const MAX_PACKETS = 16

/** Whether the picture in these packets begins a group of pictures. */
export function beginsGop(type: number, packets: readonly Uint8Array[]): boolean {
  const isBegin = begins[type]
  if (!isBegin) return false
  let zeros = 0
  let afterCode = false
  for (const packet of packets.slice(0, MAX_PACKETS)) {
    for (const byte of payloadOf(packet)) {
      if (afterCode && isBegin(byte)) return true
      afterCode = zeros >= 2 && byte === 1
      zeros = byte === 0 ? zeros + 1 : 0
    }
  }
  return false
}

/** The part of a packet's payload that belongs to the elementary stream. */
function payloadOf(packet: Uint8Array): Uint8Array {
  const adaptation = (packet[3] as number) & 0x20 ? 1 + (packet[4] as number) : 0
  const payload = (packet[3] as number) & 0x10 ? packet.subarray(4 + adaptation) : packet.subarray(188)
  const hasHeader = ((packet[1] as number) & 0x40) !== 0
  return hasHeader ? payload.subarray(9 + (payload[8] ?? 0)) : payload
}
