/**
 * The whole interface between TypeScript and the native addon. C++ implements it in `native/napi`; a test proves that the
 * addon exports exactly this. Pixels stay in native memory: TypeScript holds {@link NativeClip} handles.
 *
 * Long-running calls return a {@link NativeJob}. Jobs run neither on the event loop nor in libuv's pool. Every failure is an
 * `Error` with the own properties of {@link NativeFailure}; `src/base/native-failure.ts` turns it into an error class.
 * Misuse (a wrong argument, a released clip, a closed reader or engine) throws at the call, with code `invalid_argument`
 * and `details.field`; later failures reject the job's promise.
 *
 * Importing this never fails. If the addon cannot be loaded, the first call throws a NativeFailure with code `library` that
 * lists what was tried and possible remedies. COSMOS_EMBED_ADDON names an addon file to load instead of the packaged one.
 */

import type { NativeDecoderPool, NativeDecoderPoolOptions } from './binding-decoders.js'
import type { NativeGpu, NativeGpuLibraries, NativeGpuProbe, NativeOpenGpuOptions } from './binding-gpu.js'

export type * from './binding-decoders.js'
export type * from './binding-gpu.js'

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
  /** Cancels the job: the promise rejects with code `cancelled`, unless the job has ended already. Idempotent. */
  cancel(): void
  /** From now on the job does not keep the process alive. Idempotent. */
  unref(): void
}

/** Decoded pixels of one picture. */
export interface RgbImage {
  width: number
  height: number
  /** Interleaved RGB, `3 * width * height` bytes. */
  data: Uint8Array
}

/**
 * Bytes are not copied but pinned until the job or reader ends. They must neither change nor be transferred meanwhile, which
 * Node-API cannot prevent; `src/source/copy-media.ts` copies those that other code may still reference.
 */
export type NativeMediaSource = { path: string } | { bytes: Uint8Array }
export type NativeStillImage = Uint8Array | RgbImage

export interface NativeDecodeLimits {
  /** Width times height of one coded picture. */
  maxPixels: number
  maxStreams: number
  maxPacketsWithoutFrame: number
  maxWallSeconds: number
  /** Memory that a decode may allocate for pictures and packets, in bytes. */
  maxBytes: number
}

/**
 * `indices` count the displayable frames of the range from 0; `timestamps` are seconds, each selecting the frame on screen
 * at that time.
 */
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
  /** Begin of the range, in seconds from the first displayed frame. Default 0. */
  start?: number
  /** End of the range, in seconds. Default: the end of the video. */
  end?: number
  /** How the frames of a video are chosen; ignored for still images. Default `card`. */
  frameRule?: NativeFrameRule
  /** By how many seconds a chosen frame may move to one that is cheaper to decode. Default 0. */
  frameTolerance?: number
  /** Decoder threads, ≥ 1. Default 1. */
  threads?: number
  /** Also return the chosen frames in their original size, which forces decoding on the CPU. Default false. */
  keepImages?: boolean
  /**
   * Decode with this GPU's NVDEC where that is possible and not slower; the clip's pixels then lie in GPU memory. Default:
   * decode on the CPU.
   */
  gpu?: NativeGpu
  /**
   * With `gpu`: how many clips of a bulk job wait for a decoder behind this one. The CPU decodes more of a job that keeps
   * NVDEC busy. Default 0.
   */
  backlog?: number
  /** Decode in one of these processes instead of this one. With `gpu`, NVDEC is handed what they read. */
  decoders?: NativeDecoderPool
  limits?: Partial<NativeDecodeLimits>
}

/**
 * How a range is divided into clips: into windows of `seconds`, one every `stride` seconds; at `cuts`, which are ascending
 * seconds; or at the shots that are found while the video is decoded.
 */
export type NativeWindows =
  | { seconds: number; stride: number }
  | { cuts: readonly number[] }
  | { shots: NativeShotOptions }

export interface NativeShotOptions {
  /** The mean difference of luma and of both chroma components, added, that begins a shot. */
  threshold: number
  /** Seconds, ≥ 0: no shot is shorter, and a change that is undone sooner is a flash. */
  minSeconds: number
}

export interface NativeFrameInfo {
  /** Index among the displayable frames of the range, in presentation order, from 0. */
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
  /** If `gpu` was given, why part of the clip was not decoded by NVDEC; otherwise "". */
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
  /** Frames of the clip that were replaced, concealed or decoded after damage. */
  damaged: number
  openMs: number
  /** Time spent waiting for an NVDEC engine. */
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

/** T frames of RGB, uint8, planar [T, 3, H, W], in host memory whose size is reported to V8, or in GPU memory. */
export interface NativeClip {
  /** Where the pixels lie: `cpu`, or the ordinal of the GPU. */
  readonly device: 'cpu' | number
  readonly frames: number
  readonly height: number
  readonly width: number
  readonly byteLength: number
  /** A copy of the pixels, for inspection and tests. */
  toBytes(): Uint8Array
  /** Frees the pixels before garbage collection does. Idempotent; using the clip afterwards throws. */
  release(): void
}

/** Decodes the windows of one source in one pass, one clip per window. */
export interface NativeSegmentReader {
  /** The clip of the next window, or null after the last. One call at a time. */
  next(): NativeJob<NativeDecodedClip | null>
  /** Cancels a running `next` and frees the reader. Idempotent. */
  close(): void
}

export type NativeEngineOptions = NativeOnnxOptions | NativeTensorRtOptions

interface NativeModelOptions {
  /** Absolute path of `libonnxruntime.so.1`, or of `libnvinfer`. */
  library: string
  /** Paths of the two graphs, or of the two plans. */
  video: string
  text: string
  /** The sizes in model.json, which the graphs must agree with. */
  frames: number
  height: number
  width: number
  embeddingDim: number
  /** Token id that pads short rows; the padding is masked. */
  padTokenId: number
}

export interface NativeOnnxOptions extends NativeModelOptions {
  backend: 'onnxruntime'
  /** Threads inside one run. Default 0: one per core. */
  intraOpThreads?: number
  /** Batches of texts that run at a time, 1 to 64. Default 1. */
  textLanes?: number
  /** Whether idle threads of the engine busy-wait, which takes cores from the decoders. Default false. */
  spinning?: boolean
  memoryPattern?: boolean
  memoryArena?: boolean
}

export interface NativeTensorRtOptions extends NativeModelOptions {
  backend: 'tensorrt'
  gpu: NativeGpu
  /**
   * Lanes of each tower, 1 or 2: execution contexts with their own stream and buffers. The plan's profiles may allow fewer.
   * Default 2.
   */
  contexts?: number
  /** Replay runs as CUDA graphs where TensorRT allows it. Default true. */
  graphs?: boolean
  /** Allow plans with host code, e.g. version-compatible ones. That code runs in this process. Default false. */
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
  /** Largest batch of one run; 0 = unlimited. */
  maxVideoBatch: number
  maxTextBatch: number
  /** Lanes of each tower: how many of its runs may be in flight at a time. */
  videoLanes: number
  textLanes: number
  /** Rows of tokens are padded to the longest of their batch, and then to a multiple of this. */
  textLengthStep: number
  videoForm: 'canonical' | 'tao'
  videoInput: string
  textInput: string
}

export interface NativeEngine {
  readonly info: NativeEngineInfo
  /** One unit vector of `embeddingDim` floats per clip, in input order. The norms are checked. */
  encodeVideo(clips: readonly NativeClip[]): NativeJob<Float32Array>
  /** The same for rows of at least one token id each, which are padded and masked in native code. */
  encodeText(rows: readonly Int32Array[]): NativeJob<Float32Array>
  /** Cancels all queued and running jobs, then frees the engine. Idempotent. */
  close(): Promise<void>
}

export interface NativeDiagnostics {
  /** Version of the addon. Loading fails unless it equals that of package.json. */
  version: string
  napi: number
  compiler: string
  /** The instruction set that the resize uses, e.g. "avx2". */
  simd: string
  ffmpeg: {
    /** e.g. "59.37.100" */
    avcodec: string
    avformat: string
    license: string
    configuration: string
    /** The allowed demuxers and decoders that this FFmpeg has. */
    demuxers: string[]
    decoders: string[]
  }
}

export interface NativeNeighbours {
  rows: Uint32Array
  /** Dot products, one for each of `rows`. */
  scores: Float32Array
}

export interface Binding {
  /** Decodes a video or still images to one clip. */
  decodeClip(
    source: NativeMediaSource | { images: readonly NativeStillImage[] },
    options: NativeClipOptions,
  ): NativeJob<NativeDecodedClip>
  /** Opens a reader of the windows, cuts or shots of [start, end). */
  openSegments(
    source: NativeMediaSource,
    options: NativeClipOptions,
    windows: NativeWindows,
  ): NativeJob<NativeSegmentReader>
  createEngine(options: NativeEngineOptions): NativeJob<NativeEngine>
  /** Opens the library and reads its version, without creating a session. Throws a NativeFailure. */
  probeOnnxRuntime(library: string): { version: string; buildInfo: string }
  /** Opens libnvinfer, which may take a while, and reads its version. Needs no GPU. */
  probeTensorRt(library: string): NativeJob<{
    /** e.g. "10.16.1.11" */
    version: string
    /** Whether it is a lean or dispatch runtime, which runs only version-compatible plans. */
    lean: boolean
  }>
  /** Initialises the driver, which may take seconds, and lists its GPUs without creating a context. */
  probeGpu(libraries?: NativeGpuLibraries): NativeJob<NativeGpuProbe>
  openGpu(options: NativeOpenGpuOptions): NativeJob<NativeGpu>
  /** Starts the processes. Fails with `library` when the executable is missing, not executable or of another version. */
  openDecoderPool(options: NativeDecoderPoolOptions): NativeJob<NativeDecoderPool>
  /**
   * Compares `query` with every row of `vectors`, a matrix with rows as long as `query`, by the dot product. Gives at most
   * `count` rows, best first; of equal scores the lower row. Rows whose score is not finite are left out. `query` is copied;
   * `vectors` is pinned as {@link NativeMediaSource} describes. One thread; several jobs search several matrices at once.
   */
  nearest(vectors: Float32Array, query: Float32Array, count: number): NativeJob<NativeNeighbours>
  /** Resizes like Pillow's antialiased bilinear filter, bit-exact. Synchronous; for tools and tests. */
  resizeRgb(image: RgbImage, width: number, height: number): RgbImage
  /** A JSON list of the shortest numbers that read back as the same float32. Synchronous. */
  vectorToJson(vector: Float32Array): string
  diagnostics(): NativeDiagnostics
}

declare const binding: Binding
export default binding
