// What the attacked server is told to stay within, and what may come of that at most.

const MiB = 1024 * 1024

export const limits = {
  bodyBytes: 32 * MiB,
  bodyBytesInFlight: 64 * MiB,
  bytesInFlight: 128 * MiB,
  mediaBytes: 32 * MiB,
  decoders: 2,
  decodeBytes: 256 * MiB,
  decodeSeconds: 10,
  connections: 256,
}

/**
 * Bytes over those of the idle process: the bodies, of which two are parsed at a time into texts of twice their size and
 * then again, the media that are admitted, and the decoders.
 */
export const memoryBound =
  limits.bodyBytesInFlight +
  8 * limits.bodyBytes +
  limits.bytesInFlight +
  limits.decoders * limits.decodeBytes +
  256 * MiB
