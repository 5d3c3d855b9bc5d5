// The limits that the attacked server is given, and the memory that follows from them.

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
 * Bytes above the idle process: the bodies in flight; two bodies that are parsed at a time, each as text of twice its size
 * and as values; the admitted media; the decoders.
 */
export const memoryBound =
  limits.bodyBytesInFlight +
  8 * limits.bodyBytes +
  limits.bytesInFlight +
  limits.decoders * limits.decodeBytes +
  256 * MiB
