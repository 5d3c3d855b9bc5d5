/**
 * The native boundary, whole. C++ implements it in `native/napi`, a test proves that the addon exports
 * exactly this. Pixels stay behind it: TypeScript holds {@link NativeClip} handles.
 *
 * Long work returns a {@link NativeJob}. Jobs never run on the event loop nor in libuv's pool. Every failure is an
 * `Error` with the own properties of {@link NativeFailure}; `src/errors.ts` turns it into an error class. Misuse (a wrong
 * argument, a released clip, a closed reader or engine) is thrown at the call, with code `invalid_argument` and
 * `details.field`; whatever goes wrong later rejects the job's promise.
 *
 * Importing this never fails. Where the addon cannot be loaded, the first call throws a NativeFailure with code `library`
 * that says what was tried and what to do. COSMOS_EMBED_ADDON names an addon file to load in place of the packaged one.
 */

export type NativeErrorCode =
  | 'cancelled'
  | 'invalid_argument'
  | 'source'
  | 'media'
  | 'limit'
  | 'timeout'
  | 'library'
  | 'model'
  | 'engine'
  | 'device_lost'
  | 'out_of_memory'
  | 'internal'

export interface NativeFailure {
  code: NativeErrorCode
  message: string
  details: Record<string, string | number>
}

export interface NativeJob<T> {
  readonly promise: Promise<T>
  /** Idempotent. The promise then rejects with code `cancelled`, unless the job had already ended. */
  cancel(): void
}

export interface RgbImage {
  width: number
  height: number
  /** Interleaved RGB, `3 * width * height` bytes. */
  data: Uint8Array
}

/** Bytes are not copied: they are pinned until the job or reader ends and must not change meanwhile. */
export type NativeMediaSource = { path: string } | { bytes: Uint8Array }
export type NativeStillImage = Uint8Array | RgbImage

export interface NativeDecodeLimits {
  /** Of one coded picture. */
  maxPixels: number
  maxStreams: number
  maxPacketsWithoutFrame: number
  maxWallSeconds: number
  /** Allocated for pictures and packets. */
  maxBytes: number
}

export interface NativeClipOptions {
  /** T, the number of frames of the clip. */
  frames: number
  height: number
  width: number
  /** Seconds from the first displayed frame. Default 0. */
  start?: number
  /** Seconds; default: to the end. */
  end?: number
  /** Seconds that a wanted frame may move to a cheaper one. Default 0: exactly the chosen frames. */
  frameTolerance?: number
  /** Decoder threads, ≥ 1. Default 1. */
  threads?: number
  /** Also return the chosen frames at their own size. Default false. */
  keepImages?: boolean
  limits?: Partial<NativeDecodeLimits>
}

export interface NativeFrameInfo {
  /** Among the displayable frames of the range, in presentation order. */
  index: number
  /** Seconds on the same timeline as `start`. */
  pts: number
  keyframe: boolean
}

export interface NativeDecodeReport {
  container: string
  codec: string
  pixelFormat: string
  decoder: 'software' | 'nvdec' | 'image'
  width: number
  height: number
  rotation: number
  duration: number
  frameCount: number
  decoded: number
  discarded: number
  seeks: number
  bytesRead: number
  openMs: number
  decodeMs: number
  convertMs: number
  warnings: string[]
}

export interface NativeDecodedClip {
  clip: NativeClip
  start: number
  end: number
  frames: NativeFrameInfo[]
  /** Present when `keepImages`. */
  images?: RgbImage[]
  report: NativeDecodeReport
}

/** T frames of RGB, uint8, planar [T, 3, H, W], in native memory that V8 is told about. */
export interface NativeClip {
  readonly frames: number
  readonly height: number
  readonly width: number
  readonly byteLength: number
  /** A copy of the pixels, for looking at and for tests; the engine does not need it. */
  toBytes(): Uint8Array
  /** Frees the pixels now rather than at garbage collection. Idempotent; using the clip afterwards throws. */
  release(): void
}

/** One pass over one source; one clip per window. */
export interface NativeSegmentReader {
  /** Null after the last window. One call at a time. */
  next(): NativeJob<NativeDecodedClip | null>
  /** Cancels a running `next` and frees everything. Idempotent. */
  close(): void
}

export interface NativeEngineOptions {
  backend: 'onnxruntime'
  /** Absolute path of `libonnxruntime.so.1`. */
  library: string
  /** Paths of the two graphs. */
  video: string
  text: string
  /** What model.json says; the graphs must agree. */
  frames: number
  height: number
  width: number
  embeddingDim: number
  /** Token id that pads short rows; masked anyway. */
  padTokenId: number
  /** Threads inside one run. Default 0: as many as cores. */
  intraOpThreads?: number
  /** Whether idle threads of the engine spin. Default: see docs/performance.md. */
  spinning?: boolean
  memoryPattern?: boolean
  memoryArena?: boolean
}

export interface NativeEngineInfo {
  backend: string
  version: string
  library: string
  frames: number
  height: number
  width: number
  embeddingDim: number
  /** 0 = any. */
  maxVideoBatch: number
  maxTextBatch: number
  videoForm: 'canonical' | 'tao'
  videoInput: string
  textInput: string
}

export interface NativeEngine {
  readonly info: NativeEngineInfo
  /** Rows of `embeddingDim` floats, unit length (checked), in the order given. */
  encodeVideo(clips: readonly NativeClip[]): NativeJob<Float32Array>
  /** Rows of token ids, any length ≥ 1 each; padded and masked in native code. */
  encodeText(rows: readonly Int32Array[]): NativeJob<Float32Array>
  /** Cancels what is queued and running, then frees the sessions. Idempotent. */
  close(): Promise<void>
}

export interface NativeDiagnostics {
  /** Version of the addon: equal to package.json's, or the load is refused. */
  version: string
  napi: number
  compiler: string
  /** The instruction set that the resize kernels chose, e.g. "avx2". */
  simd: string
  ffmpeg: {
    /** e.g. "59.37.100" */
    avcodec: string
    avformat: string
    license: string
    configuration: string
    /** Of the allowed ones, those that this FFmpeg has. */
    demuxers: string[]
    decoders: string[]
  }
}

export interface Binding {
  /** Still pictures or a video become one clip. */
  decodeClip(
    source: NativeMediaSource | { images: readonly NativeStillImage[] },
    options: NativeClipOptions,
  ): NativeJob<NativeDecodedClip>
  /** Windows of `seconds` every `stride` seconds over [start, end). */
  openSegments(
    source: NativeMediaSource,
    options: NativeClipOptions,
    windows: { seconds: number; stride: number },
  ): NativeJob<NativeSegmentReader>
  createEngine(options: NativeEngineOptions): NativeJob<NativeEngine>
  /** Opens the library and reads its version, without making a session. Throws a NativeFailure. */
  probeOnnxRuntime(library: string): { version: string; buildInfo: string }
  /** Pillow's antialiased bilinear resize, bit-exact. Synchronous: for tools and tests. */
  resizeRgb(image: RgbImage, width: number, height: number): RgbImage
  diagnostics(): NativeDiagnostics
}

declare const binding: Binding
export default binding
