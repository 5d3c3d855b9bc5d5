/** What `createEmbedder` takes. Every option has a default; a wrong one is an InvalidArgumentError that names it. */
import { z } from 'zod'
import type { NativeDecodeLimits } from '#binding'
import { cores } from './base/cores.ts'
import { checkOptions } from './base/validate.ts'
import { type NamedFrameRule, namedFrameRule } from './request/frame-rule.ts'
import { type Limits, type LimitsInput, limitsSchema } from './source/limits.ts'
import { isSignal } from './source/type-guards.ts'
import { type UrlPolicy, urlPolicySchema } from './source/url-policy.ts'

export interface EmbedderOptions {
  /** Folder of the model bundle. Default: the demo model of this package. */
  model?: string | undefined
  /** `auto` takes the best there is and says in `info().device.reason` what it took and why. Default `auto`. */
  device?: 'auto' | 'cpu' | 'cuda' | undefined
  /**
   * Which frames of a video, where a call does not say. Default `card`, the model card's. Take `curator` or `rounded`
   * to search an index that NVIDIA's tools made.
   */
  frameRule?: NamedFrameRule | undefined
  /** Further names that a request's `model` may have, besides the bundle's id. */
  servedNames?: readonly string[] | undefined
  onnxruntime?: OnnxRuntimeOptions | undefined
  /** Of the GPU path; without meaning where the CPU is taken. */
  cuda?: CudaOptions | undefined
  decode?: DecodeOptions | undefined
  batching?: BatchingOptions | undefined
  /** Which URLs may be fetched. Default `public`: https, public addresses. */
  urls?: UrlPolicy | undefined
  /** Of what comes in, and of what may be in flight. */
  limits?: LimitsInput | undefined
  /** Gives up creating the embedder; it has no meaning afterwards. */
  signal?: AbortSignal | undefined
}

export interface OnnxRuntimeOptions {
  /** Path of `libonnxruntime.so.1`. Default: COSMOS_EMBED_ONNXRUNTIME, else the one beside the addon, else installed ones. */
  library?: string | undefined
  /** Threads inside one run, 0 to 1024. Default 0: as many as cores. */
  intraOpThreads?: number | undefined
  /** Whether idle threads of the engine spin. */
  spinning?: boolean | undefined
  memoryPattern?: boolean | undefined
  memoryArena?: boolean | undefined
}

/** What the numbers of an engine are stored and computed in. */
export type Precision = 'fp32' | 'fp16' | 'bf16' | 'fp8'

export interface CudaOptions {
  /** GPUs by number, among those that CUDA_VISIBLE_DEVICES leaves, or `all`. Default: [0], the first one. */
  devices?: 'all' | readonly number[] | undefined
  /** Files to open in place of what is found. */
  libraries?:
    | {
        /** `libcuda.so.1`. Default: COSMOS_EMBED_CUDA, else as the system's loader finds it. */
        cuda?: string | undefined
        /** `libnvcuvid.so.1`. Default: COSMOS_EMBED_NVCUVID, else as the system's loader finds it. */
        nvcuvid?: string | undefined
        /** `libnvinfer.so.11` or `.so.10`. Default: COSMOS_EMBED_TENSORRT, else TENSORRT_ROOT, Python's, the system's. */
        tensorrt?: string | undefined
      }
    | undefined
  /**
   * With `device: 'cuda'`, when no engine of the model fits: `auto` builds it, which takes minutes and happens once;
   * `never` refuses with the command that builds it. `device: 'auto'` never builds. Default `auto`.
   */
  buildEngine?: 'auto' | 'never' | undefined
  /**
   * A folder for engines, besides the bundle's `engines`: looked into first, and where new ones go. Engines are
   * programs: it must be as trusted as the bundle. Default: none.
   */
  engineCache?: string | undefined
  /** Told what a build says, line by line. Default: the process warns once that a build has begun. */
  onBuild?: ((line: string) => void) | undefined
  /** Takes only engines of this precision, and builds such. Default: any; a new one has that of the graphs. */
  precision?: Precision | undefined
  /**
   * Takes only engines that can do at least so many clips a batch, 1 to 1024, and builds such. Default: any; a new one is
   * for `batching.maxVideoBatch`, which is how many clips are put into a batch.
   */
  engineBatch?: number | undefined
  /** Batches of a kind that a GPU works on at a time, 1 or 2. Default 2, as far as the engine allows it. */
  contexts?: number | undefined
  /** Replays batches as CUDA graphs, where TensorRT allows it. Default true. */
  graphs?: boolean | undefined
  /** Takes engines that bring code of their own for the CPU, as version-compatible ones do. Default false. */
  hostCode?: boolean | undefined
  /** `never` decodes on the CPU only. Default `auto`: NVDEC where it can and is not the slower way. */
  nvdec?: 'auto' | 'never' | undefined
  /** Videos that the NVDEC of one GPU works on at a time, ≥ 1. Default: two for each of its engines. */
  nvdecWorkers?: number | undefined
  /**
   * Videos of one GPU that the CPU may decode while NVDEC is busy, ≥ 0. Default: half of the cores, shared among the
   * GPUs; the other half reads containers and runs the process.
   */
  cpuWorkers?: number | undefined
}

export interface DecodeOptions {
  /**
   * Videos decoded at one time, 1 to 64. Default: as many as cores; on GPUs as many as NVDEC has engines, and
   * `cuda.cpuWorkers` more.
   */
  concurrency?: number | undefined
  /** Decoder threads of a video that is decoded alone, ≥ 1; one each when there are several. Default: as many as cores. */
  threads?: number | undefined
  /** What one video may cost. */
  limits?: { [Name in keyof NativeDecodeLimits]?: number | undefined } | undefined
}

export interface BatchingOptions {
  /** Clips of one batch, ≥ 1. Default 8, on a GPU what its engine was built for. The engine may allow fewer. */
  maxVideoBatch?: number | undefined
  /** Texts of one batch, ≥ 1. Default 64. */
  maxTextBatch?: number | undefined
  /** How long a batch that is not full waits for company. Default 0: it does not. */
  maxQueueDelayMs?: number | undefined
}

/** Without the fields that are undefined. */
type Given<T> = { [Name in keyof T]: Exclude<T[Name], undefined> }

function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>
}

export interface ResolvedCudaOptions {
  devices: 'all' | readonly number[]
  libraries: { cuda?: string; nvcuvid?: string; tensorrt?: string }
  buildEngine: 'auto' | 'never'
  engineCache: string | undefined
  onBuild: ((line: string) => void) | undefined
  precision: Precision | undefined
  engineBatch: number | undefined
  contexts: number
  graphs: boolean
  hostCode: boolean
  nvdec: 'auto' | 'never'
  nvdecWorkers: number | undefined
  cpuWorkers: number | undefined
}

export interface ResolvedOptions {
  model: string | undefined
  device: 'auto' | 'cpu' | 'cuda'
  frameRule: NamedFrameRule
  servedNames: readonly string[]
  onnxruntime: Given<OnnxRuntimeOptions>
  cuda: ResolvedCudaOptions
  decode: { concurrency: number | undefined; threads: number; limits: NativeDecodeLimits }
  batching: { maxVideoBatch: number | undefined; maxTextBatch: number; maxQueueDelayMs: number }
  urls: UrlPolicy
  limits: Limits
  signal: AbortSignal | undefined
}

const count = z.int().min(1)
const path = z.string().min(1)
/** Clips of one batch, where nothing else says how many. */
export const DEFAULT_BATCH = 8
/** Threads of the addon's pool, and of one decoder, at most. */
export const MAX_THREADS = 64

const cudaSchema = z
  .strictObject({
    devices: z
      .union([z.literal('all'), z.array(z.int().min(0)).min(1)], {
        error: 'must be "all" or a list of numbers of GPUs',
      })
      .refine((devices) => devices === 'all' || new Set(devices).size === devices.length, {
        error: 'names a GPU twice',
      })
      .default([0]),
    libraries: z
      .strictObject({ cuda: path.optional(), nvcuvid: path.optional(), tensorrt: path.optional() })
      .transform(given)
      .prefault({}),
    buildEngine: z.enum(['auto', 'never']).default('auto'),
    engineCache: path.optional(),
    onBuild: z
      .custom<(line: string) => void>((value) => typeof value === 'function', 'must be a function')
      .optional(),
    precision: z.enum(['fp32', 'fp16', 'bf16', 'fp8']).optional(),
    engineBatch: count.max(1024).optional(),
    contexts: z.int().min(1).max(2).default(2),
    graphs: z.boolean().default(true),
    hostCode: z.boolean().default(false),
    nvdec: z.enum(['auto', 'never']).default('auto'),
    nvdecWorkers: count.max(64).optional(),
    cpuWorkers: z.int().min(0).max(1024).optional(),
  })
  .prefault({})

const schema = z
  .strictObject({
    model: z.string().min(1).optional(),
    device: z.enum(['auto', 'cpu', 'cuda']).default('auto'),
    frameRule: namedFrameRule.default('card'),
    servedNames: z.array(z.string().min(1)).default([]),
    onnxruntime: z
      .strictObject({
        library: path.optional(),
        intraOpThreads: z.int().min(0).max(1024).optional(),
        spinning: z.boolean().optional(),
        memoryPattern: z.boolean().optional(),
        memoryArena: z.boolean().optional(),
      })
      .transform(given)
      .prefault({}),
    cuda: cudaSchema,
    decode: z
      .strictObject({
        concurrency: count.max(MAX_THREADS).optional(),
        threads: count.max(MAX_THREADS).default(Math.min(cores, MAX_THREADS)),
        limits: z
          .strictObject({
            maxPixels: count.default(8192 * 4352),
            maxStreams: count.default(16),
            maxPacketsWithoutFrame: count.default(20_000),
            maxWallSeconds: z.number().positive().default(300),
            maxBytes: count.default(2 * 1024 ** 3),
          })
          .prefault({}),
      })
      .prefault({}),
    batching: z
      .strictObject({
        maxVideoBatch: count.optional(),
        maxTextBatch: count.default(64),
        maxQueueDelayMs: z.number().min(0).max(60_000).default(0),
      })
      .prefault({}),
    urls: urlPolicySchema,
    limits: limitsSchema,
    signal: z.custom<AbortSignal>(isSignal, 'must be an AbortSignal').optional(),
  })
  .refine(({ limits }) => limits.maxItemsInFlight >= limits.maxItems, {
    path: ['limits', 'maxItemsInFlight'],
    error: 'must be at least limits.maxItems, or a full request could never be admitted',
  })

export function resolveEmbedderOptions(options: EmbedderOptions): ResolvedOptions {
  return checkOptions(schema as unknown as z.ZodType<ResolvedOptions, EmbedderOptions>, options, 'options')
}
