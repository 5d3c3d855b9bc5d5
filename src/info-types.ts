/** What an embedder reports about itself: what it consists of, and what it has done. */
import type {
  NativeDecodeLimits,
  NativeDecoderPoolStats,
  NativeGpuStats,
  NativeNvdecCapability,
  NativeWalls,
} from '#binding'
import type { Precision } from './options.ts'
import type { NamedFrameRule } from './request/frame-rule.ts'
import type { Limits } from './source/limits.ts'
import type { UrlPolicy } from './source/url-policy.ts'
import type { ItemKind, ProgressStage, Timings } from './types.ts'

/** Milliseconds. The percentiles and `max` cover the last 1024 samples; `count` and `sum` cover all since the start. */
export interface LatencySummary {
  count: number
  sum: number
  p50: number
  p95: number
  p99: number
  max: number
}

/** Counters of an embedder since it was created, and the state of its queues now. */
export interface EmbedderStats {
  uptimeSeconds: number
  /**
   * Calls of the methods that embed, and of `frames`. `rejected` ended with OverloadedError, `cancelled` by the caller's
   * signal or by `dispose`.
   */
  requests: { total: number; succeeded: number; failed: number; cancelled: number; rejected: number }
  /** Items that were embedded. Each segment counts as a video. */
  items: Record<ItemKind, number>
  /** Items that failed, by error code. */
  errors: Record<string, number>
  /** Items that were cancelled. */
  cancelled: number
  /** Tokens that were embedded, without padding. */
  tokens: number
  /** What is admitted now: items, bytes of media in memory, and calls. */
  inFlight: { items: number; bytes: number; requests: number }
  /** Items that wait for each stage, and that are in it. */
  queues: Record<ProgressStage, { waiting: number; running: number }>
  /** One entry per GPU: clips by decoder, and the load of NVDEC. Empty on the CPU. */
  gpus: GpuStats[]
  /** The processes that decode media; absent when this process does. */
  decoders?: DecoderStats
  /** Batches that the engine completed, their items, and how many batches had each size. */
  batches: Record<'text' | 'video', { count: number; items: number; sizes: Record<number, number> }>
  /** Latency by stage. An item is a sample only of the stages that it passed through. */
  stages: Record<keyof Timings, LatencySummary>
}

/** Counters of one GPU. */
export interface GpuStats extends NativeGpuStats {
  /** Number of the GPU among those that CUDA_VISIBLE_DEVICES leaves visible. */
  device: number
}

/**
 * The processes that decode media. `idle` and `busy` count them now, the others since the embedder was created: those that
 * were started; `crashed` on a file; `ended` because they did not react to a cancellation or a time limit, or because this
 * process ran short of memory or descriptors; `retired` after their last clip.
 */
export interface DecoderStats extends NativeDecoderPoolStats {}

/** The walls around the processes that decode media: which of them this machine allows. */
export interface DecoderWalls extends NativeWalls {}

/** A TensorRT engine in use, and how it was built. */
export interface EngineFacts {
  /** File of the serialized engine. */
  path: string
  precision: Precision
  /** The most clips or texts of one batch. */
  maxBatch: number
  /** When it was built, and with which GPU, newest CUDA version of the driver, and TensorRT. */
  built: { at: string; gpu: string; driver: string; tensorrt: string }
}

/** A GPU in use. */
export interface GpuFacts {
  /** Number of the GPU among those that CUDA_VISIBLE_DEVICES leaves visible. */
  device: number
  name: string
  /** As CUDA_VISIBLE_DEVICES takes it: "GPU-…", or "MIG-…" for an instance of a divided GPU. */
  uuid: string
  /** E.g. "9.0". */
  computeCapability: string
  memoryBytes: number
  engines: { video: EngineFacts; text: EngineFacts }
  nvdec: {
    /** NVDEC engines of the card; 0 when NVDEC is not used. */
    engines: number
    /** Why NVDEC is not used, or "". */
    reason: string
    /** The formats that were queried, and whether NVDEC decodes them. */
    capabilities: NativeNvdecCapability[]
  }
}

/** The CPU, as the device of an embedder. */
export interface CpuDevice {
  kind: 'cpu'
  /** Why this device: what was requested, what was found, and what would make a GPU usable. */
  reason: string
}

/** One or several GPUs, as the device of an embedder. */
export interface CudaDevice {
  kind: 'cuda'
  /** Why this device: what was requested and what was found. */
  reason: string
  /** `version` is the newest CUDA version that the driver supports. */
  driver: { version: string; library: string }
  gpus: GpuFacts[]
}

/**
 * Whether an embedder accepts calls. `device_lost`: this process cannot use its GPU again, start a new one.
 * `closed`: `dispose` was called.
 */
export type EmbedderStatus =
  | { ready: true }
  | { ready: false; code: 'device_lost' | 'closed'; reason: string }

/** What an embedder consists of. It does not change. */
export interface EmbedderInfo {
  /** Version of this package. */
  version: string
  device: CpuDevice | CudaDevice
  /**
   * The processes that decode media, and which walls stand around them; absent when this process decodes. See
   * docs/isolation.md.
   */
  decoders?: {
    walls: DecoderWalls
    /** What reads media outside of the walls, in this process: nothing on the CPU, NVIDIA's parser and driver with NVDEC. */
    outside: string[]
  }
  model: {
    /** Id of the bundle. */
    id: string
    /** Names accepted as a request's `model`: those of the option `servedNames` first, then the id. */
    servedNames: string[]
    variant: string
    /** Folder of the bundle. */
    path: string
    /** Frames of one clip. */
    frames: number
    /** Height of a clip in pixels. */
    height: number
    /** Width of a clip in pixels. */
    width: number
    /** Floats of one vector. */
    embeddingDim: number
    /** Tokens of one text, special tokens included; longer texts are cut. */
    maxTextTokens: number
    license: { name: string; path?: string | undefined; url?: string | undefined }
    /** Which frames of a video the model is given, unless a call says otherwise. */
    frameRule: NamedFrameRule
    /**
     * Changes with every file of the bundle and with the frame rule, so a cache of vectors must include it in its key,
     * together with a call's own `frameRule`, `frameTolerance`, `start` and `end`.
     */
    fingerprint: string
  }
  engine: { backend: string; version: string; library: string }
  addon: { version: string; simd: string; ffmpeg: { avcodec: string; avformat: string; license: string } }
  limits: {
    /** Videos decoded at one time, over all devices. */
    decodeConcurrency: number
    /** Clips per batch of one device. */
    maxVideoBatch: number
    /** Texts per batch of one device. */
    maxTextBatch: number
    /** Limits on inputs, as resolved from the option `limits`. */
    input: Limits
    /** What decoding one video may cost, as resolved from the option `decode.limits`. */
    decode: NativeDecodeLimits
  }
  /** The policy for URLs, as resolved from the option `urls`. */
  urls: UrlPolicy
}
