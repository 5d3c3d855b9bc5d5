/** What an {@link Embedder} says of itself: what it is made of, and what it has done. */
import type { NativeDecodeLimits, NativeGpuStats, NativeNvdecCapability } from '#binding'
import type { Precision } from './options.ts'
import type { NamedFrameRule } from './request/frame-rule.ts'
import type { Limits } from './source/limits.ts'
import type { UrlPolicy } from './source/url-policy.ts'
import type { ItemKind, ProgressStage, Timings } from './types.ts'

/** Of the last 1024 samples, in milliseconds; `count` and `sum` since the start. */
export interface LatencySummary {
  count: number
  sum: number
  p50: number
  p95: number
  p99: number
  max: number
}

export interface EmbedderStats {
  uptimeSeconds: number
  /**
   * Calls of the methods that embed, and of `frames`. `rejected`: OverloadedError;
   * `cancelled`: by the caller's signal or by dispose.
   */
  requests: { total: number; succeeded: number; failed: number; cancelled: number; rejected: number }
  /** Items that became vectors; each segment counts as a video. */
  items: Record<ItemKind, number>
  /** Failed items by error code. */
  errors: Record<string, number>
  /** Items that were cancelled. */
  cancelled: number
  /** Tokens that were embedded, without padding. */
  tokens: number
  inFlight: { items: number; bytes: number; requests: number }
  /** Items that wait in front of each stage, and that are in it. */
  queues: Record<ProgressStage, { waiting: number; running: number }>
  /** One entry per GPU: clips by the decoder that made them, and what is going on in NVDEC. */
  gpus: GpuStats[]
  /** Batches that the engine answered, and how many there were of each size. */
  batches: Record<'text' | 'video', { count: number; items: number; sizes: Record<number, number> }>
  stages: Record<keyof Timings, LatencySummary>
}

/** By number, among the GPUs that CUDA_VISIBLE_DEVICES leaves. */
export interface GpuStats extends NativeGpuStats {
  device: number
}

/** A TensorRT engine that is in use, and where it comes from. */
export interface EngineFacts {
  /** Of the plan's file. */
  path: string
  precision: Precision
  /** Clips or texts that it can do in a batch. */
  maxBatch: number
  /** What it was built with: GPU, newest CUDA of its driver, TensorRT. */
  built: { at: string; gpu: string; driver: string; tensorrt: string }
}

export interface GpuFacts {
  /** Among those that CUDA_VISIBLE_DEVICES leaves. */
  device: number
  name: string
  uuid: string
  /** E.g. "9.0". */
  computeCapability: string
  memoryBytes: number
  engines: { video: EngineFacts; text: EngineFacts }
  nvdec: {
    /** Of the card; 0 when NVDEC is not used. */
    engines: number
    /** Why it is not used, or "". */
    reason: string
    /** What it was asked about and what it can. */
    capabilities: NativeNvdecCapability[]
  }
}

export interface CpuDevice {
  kind: 'cpu'
  /** Why this device: what was asked for, what was found, and what would make a GPU usable. */
  reason: string
}

export interface CudaDevice {
  kind: 'cuda'
  reason: string
  /** `version` is the newest CUDA that the driver serves. */
  driver: { version: string; library: string }
  gpus: GpuFacts[]
}

/** `device_lost`: start a new process, this one cannot use its GPU again. `closed`: `dispose` was called. */
export type EmbedderStatus =
  | { ready: true }
  | { ready: false; code: 'device_lost' | 'closed'; reason: string }

export interface EmbedderInfo {
  /** Version of this package. */
  version: string
  device: CpuDevice | CudaDevice
  model: {
    id: string
    /** Names that a request's `model` may have: those of the option `servedNames` first. */
    servedNames: string[]
    variant: string
    /** Folder of the bundle. */
    path: string
    /** Of one clip. */
    frames: number
    height: number
    width: number
    embeddingDim: number
    maxTextTokens: number
    license: { name: string; path?: string | undefined; url?: string | undefined }
    /** Which frames of a video the model is given, unless a call says otherwise. */
    frameRule: NamedFrameRule
    /**
     * Changes when any file of the bundle does, and with the frame rule: what a cache of vectors must be keyed by. A
     * call's own `frameRule`, `frameTolerance`, `start` and `end` belong beside it in the key.
     */
    fingerprint: string
  }
  engine: { backend: string; version: string; library: string }
  addon: { version: string; simd: string; ffmpeg: { avcodec: string; avformat: string; license: string } }
  limits: {
    /** Videos decoded at one time, over all devices. */
    decodeConcurrency: number
    /** Of one device. */
    maxVideoBatch: number
    maxTextBatch: number
    /** Of what comes in, under the names of the option `limits`. */
    input: Limits
    /** Of what decoding one video may cost. */
    decode: NativeDecodeLimits
  }
  urls: UrlPolicy
}
