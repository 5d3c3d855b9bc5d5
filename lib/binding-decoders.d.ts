/** The decoder processes of the native boundary, see binding.d.ts. */

/** Which walls stand around the decoder processes on this machine. */
export interface NativeWalls {
  /** A filter lets through only the system calls that decoding needs. */
  systemCalls: boolean
  /** The processes have a network of their own, without interfaces. */
  network: boolean
  /** They see an empty file system. */
  files: boolean
  /** Their memory, files and descriptors are limited. */
  memory: boolean
}

export interface NativeDecoderPoolOptions {
  /** Absolute path. Default: `cosmos-embed-decoder` beside the addon. */
  executable?: string
  /** The largest `maxBytes` of the requests; a process may use somewhat more memory than this. */
  maxBytes: number
  /** How many processes are kept, 1 to 256. More are started while more decodes run. */
  idle: number
  /** A process is replaced after this many clips, 1 to 1,000,000. Default 1000. */
  clipsPerProcess?: number
}

/** Processes without rights that decode untrusted media, one video at a time each. */
export interface NativeDecoderPool {
  readonly walls: NativeWalls
  stats(): NativeDecoderPoolStats
  /** Ends the idle processes at once, and the others after their work. Idempotent. */
  close(): void
}

/** `idle` and `busy` are processes now; the others count since the pool was opened. */
export interface NativeDecoderPoolStats {
  idle: number
  busy: number
  started: number
  /** Processes that ended by themselves on a file, or answered nonsense. */
  crashed: number
  /** Processes that were ended because they did not react to a cancellation or a time limit. */
  ended: number
  /** Processes that were replaced after their last clip, or because their video was closed early. */
  retired: number
}
