/**
 * The native boundary, whole. C++ implements it in `native/napi`, a test proves that the addon exports
 * exactly this. Pixels stay behind it: TypeScript holds {@link NativeClip} handles.
 *
 * Long work returns a {@link NativeJob}. Jobs never run on the event loop nor in libuv's pool. Every failure is an
 * `Error` with the own properties of {@link NativeFailure}; `src/base/native-failure.ts` turns it into an error class. Misuse (a wrong
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
  | 'encrypted'
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
  /** Idempotent. The job no longer keeps the process from ending. */
  unref(): void
}

export interface RgbImage {
  width: number
  height: number
  /** Interleaved RGB, `3 * width * height` bytes. */
  data: Uint8Array
}

/**
 * Bytes are not copied: they are pinned until the job or reader ends, and must neither change nor be transferred meanwhile
 * (Node-API cannot forbid that). `src/source/copy-media.ts` copies those that somebody else has a reference to.
 */
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

/** `indices` count the displayable frames of the range; `timestamps` are seconds, each the frame on screen then. */
export type NativeFrameRule =
  | 'card'
  | 'curator'
  | 'rounded'
  | { indices: readonly number[] }
  | { timestamps: readonly number[] }

export interface NativeClipOptions {
  /** T, the number of frames of the clip. */
  frames: number
  height: number
  width: number
  /** Seconds from the first displayed frame. Default 0. */
  start?: number
  /** Seconds; default: to the end. */
  end?: number
  /** Which frames of a video. Default `card`. Without meaning for pictures. */
  frameRule?: NativeFrameRule
  /** Seconds that a wanted frame may move to a cheaper one. Default 0: exactly the chosen frames. */
  frameTolerance?: number
  /** Decoder threads, ≥ 1. Default 1. */
  threads?: number
  /** Also return the chosen frames at their own size. Default false. Decodes on the CPU whatever `gpu` says. */
  keepImages?: boolean
  /**
   * Decode with this GPU's NVDEC where it can and is not the slower way; the clip's pixels then lie in its memory.
   * Default: on the CPU.
   */
  gpu?: NativeGpu
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
  /** Why that decoder, where `gpu` was given and part of the clip was not decoded by NVDEC; else "". */
  decoderReason: string
  width: number
  height: number
  rotation: number
  duration: number
  frameCount: number
  decoded: number
  discarded: number
  seeks: number
  bytesRead: number
  /** Frames of the clip that are stand-ins, patched up or decoded after damage. */
  damaged: number
  openMs: number
  /** Waiting for an NVDEC engine. */
  waitMs: number
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

/** T frames of RGB, uint8, planar [T, 3, H, W], in host memory that V8 is told about, or in a GPU's. */
export interface NativeClip {
  /** Where the pixels are: `cpu`, or the ordinal of the GPU. */
  readonly device: 'cpu' | number
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

/** Absolute paths of NVIDIA's libraries. Default: what the system's loader finds by name. */
export interface NativeGpuLibraries {
  /** libcuda.so.1 */
  cuda?: string
  /** libnvcuvid.so.1 */
  nvcuvid?: string
}

/** A kind of video that this GPU's NVDEC was asked about. */
export interface NativeNvdecCapability {
  /** FFmpeg's short name, e.g. "h264". */
  codec: string
  /** Chroma format: "420" or "444". */
  chroma: string
  bitDepth: number
  supported: boolean
  maxWidth: number
  maxHeight: number
  /** Engines of the card that decode it. */
  engines: number
}

export interface NativeGpuInfo {
  /** Among those that CUDA_VISIBLE_DEVICES lets this process see. */
  device: number
  name: string
  uuid: string
  /** e.g. "9.0" */
  computeCapability: string
  memoryBytes: number
}

export interface NativeGpuProbe {
  driver: {
    /** The newest CUDA that the driver serves, e.g. "12.4". */
    version: string
    library: string
  }
  devices: NativeGpuInfo[]
}

export interface NativeOpenGpuOptions {
  device: number
  libraries?: NativeGpuLibraries
  /** `never`: decode on the CPU only. Default `auto`. */
  nvdec?: 'auto' | 'never'
  /** Clips that this GPU's NVDEC works on at a time. Default 0: two for each of its engines. */
  nvdecWorkers?: number
  /** Clips that the CPU may take over while NVDEC is busy. Default 0: none that NVDEC can decode. */
  cpuWorkers?: number
}

export interface NativeGpuStats {
  /** Clips by the decoder that made them. */
  nvdec: number
  software: number
  /** Clips in it, and waiting for it. */
  nvdecRunning: number
  nvdecWaiting: number
  /** NVDEC decoders made, taken from the pool as they were, and reconfigured. */
  decodersCreated: number
  decodersReused: number
  decodersReconfigured: number
  /** A sticky error was seen: nothing on this GPU works any more in this process. */
  lost: boolean
}

/** One GPU: its context, the preprocess kernels, and NVDEC where there is one. */
export interface NativeGpu {
  readonly info: NativeGpuInfo & {
    driver: string
    freeBytes: number
    /** Why NVDEC is not used, or "". */
    nvdecReason: string
    /** Engines of the card's NVDEC; 0 when it is not used. */
    nvdecEngines: number
    /** Clips that it works on at a time; 0 when it is not used. */
    nvdecWorkers: number
    nvdec: NativeNvdecCapability[]
  }
  stats(): NativeGpuStats
  /** Lets go of decoders and memory once nothing uses them any more. Idempotent. */
  close(): void
}

export type NativeEngineOptions = NativeOnnxOptions | NativeTensorRtOptions

interface NativeModelOptions {
  /** Absolute path of `libonnxruntime.so.1`, or of `libnvinfer`. */
  library: string
  /** Paths of the two graphs, or of the two plans. */
  video: string
  text: string
  /** What model.json says; the graphs must agree. */
  frames: number
  height: number
  width: number
  embeddingDim: number
  /** Token id that pads short rows; masked anyway. */
  padTokenId: number
}

export interface NativeOnnxOptions extends NativeModelOptions {
  backend: 'onnxruntime'
  /** Threads inside one run. Default 0: as many as cores. */
  intraOpThreads?: number
  /** Whether idle threads of the engine spin. Default: see docs/performance.md. */
  spinning?: boolean
  memoryPattern?: boolean
  memoryArena?: boolean
}

export interface NativeTensorRtOptions extends NativeModelOptions {
  backend: 'tensorrt'
  gpu: NativeGpu
  /** Runs of each tower in flight at a time, 1 or 2; the plan's profiles may allow fewer. Default 2. */
  contexts?: number
  /** Replay runs as CUDA graphs where TensorRT allows it. Default true. */
  graphs?: boolean
  /** Plans may carry host code (version-compatible plans do), which then runs in this process. Default false. */
  hostCode?: boolean
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
  /** Runs of a tower that the engine works on at a time. */
  videoLanes: number
  textLanes: number
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
  /** Opens libnvinfer, which is large, and reads its version, without a GPU. */
  probeTensorRt(library: string): NativeJob<{
    /** e.g. "10.16.1.11" */
    version: string
    /** A lean or dispatch runtime: it runs only version-compatible plans. */
    lean: boolean
  }>
  /** Starts the driver, which takes its time, and lists its GPUs, without a context on any. */
  probeGpu(libraries?: NativeGpuLibraries): NativeJob<NativeGpuProbe>
  openGpu(options: NativeOpenGpuOptions): NativeJob<NativeGpu>
  /** Pillow's antialiased bilinear resize, bit-exact. Synchronous: for tools and tests. */
  resizeRgb(image: RgbImage, width: number, height: number): RgbImage
  diagnostics(): NativeDiagnostics
}

declare const binding: Binding
export default binding
