/** The options of `createEmbedder`, their defaults and their validation. */
import type { z } from 'zod'
import type { NativeDecodeLimits } from '#binding'
import { cores } from './base/cores.ts'
import { checkOptions, isText } from './base/validate.ts'
import { lazySchema } from './base/zod.ts'
import { type NamedFrameRule, namedFrameRule } from './request/frame-rule.ts'
import { defaultLimits, type Limits, type LimitsInput, limitsSchema } from './source/limits.ts'
import { isPlainObject, isSignal } from './source/type-guards.ts'
import { type UrlPolicy, urlPolicySchema } from './source/url-policy.ts'

/**
 * Options of `createEmbedder`. All are optional. A wrong or unknown one rejects with an InvalidArgumentError that names it.
 */
export interface EmbedderOptions {
  /** Folder of the model bundle. Default: the demo model of this package. */
  model?: string | undefined
  /**
   * Where to run the model. `auto` takes the best device that is usable; `info().device.reason` explains the choice.
   * Default `auto`.
   */
  device?: 'auto' | 'cpu' | 'cuda' | undefined
  /**
   * Which frames of a video the model sees, unless a call has its own `frameRule`. Default `card`, the model card's rule.
   * Use `curator` or `rounded` to search an index that NVIDIA's tools built.
   */
  frameRule?: NamedFrameRule | undefined
  /** Names accepted as a request's `model`, besides the bundle's id. Default: none. */
  servedNames?: readonly string[] | undefined
  onnxruntime?: OnnxRuntimeOptions | undefined
  /** Options of the GPU path. Ignored when the CPU is used. */
  cuda?: CudaOptions | undefined
  decode?: DecodeOptions | undefined
  batching?: BatchingOptions | undefined
  /** Which URLs may be fetched. Default `public`: https on port 443 to public addresses. */
  urls?: UrlPolicy | undefined
  /** Limits on inputs and on what may be in flight. */
  limits?: LimitsInput | undefined
  /** Cancels the creation of the embedder. It has no effect once the embedder exists. */
  signal?: AbortSignal | undefined
}

/** Options of ONNX Runtime, which runs the model on the CPU. */
export interface OnnxRuntimeOptions {
  /**
   * Path of `libonnxruntime.so.1`. Default: COSMOS_EMBED_ONNXRUNTIME, otherwise the library beside the addon, otherwise
   * one that is installed on the system.
   */
  library?: string | undefined
  /** Threads of one run, 0 to 1024. Default 0: as many as cores. */
  intraOpThreads?: number | undefined
  /**
   * Batches of texts that run at a time, 1 to 64; a batch of videos runs alone. The threads of a run meet after each operation
   * and wait for the slowest, so a second batch finds cores that are free. Default 2, and 1 on one or two cores.
   */
  textLanes?: number | undefined
  /**
   * Whether threads that wait within a run and after it spin, which takes cores from the decoders, or sleep at once. Default:
   * within a run they spin for 5 microseconds, then they sleep.
   */
  spinning?: boolean | undefined
  /** ONNX Runtime's memory pattern optimisation. Default true. */
  memoryPattern?: boolean | undefined
  /**
   * Whether the memory of a run is kept for the next one, and weights lie in huge pages where the system has them (madvise).
   * Default true. With false, ONNX Runtime takes and frees everything with malloc.
   */
  memoryArena?: boolean | undefined
}

/** The numeric format in which an engine stores its weights and computes. */
export type Precision = 'fp32' | 'fp16' | 'bf16' | 'fp8'

/** Options of the GPU path: NVDEC, CUDA and TensorRT. */
export interface CudaOptions {
  /** Numbers of GPUs, among those that CUDA_VISIBLE_DEVICES leaves visible, or `all`. Default `[0]`. */
  devices?: 'all' | readonly number[] | undefined
  /** Paths of libraries to open instead of searching for them. */
  libraries?:
    | {
        /** `libcuda.so.1`. Default: COSMOS_EMBED_CUDA, otherwise as the dynamic loader finds it. */
        cuda?: string | undefined
        /** `libnvcuvid.so.1`. Default: COSMOS_EMBED_NVCUVID, otherwise as the dynamic loader finds it. */
        nvcuvid?: string | undefined
        /**
         * `libnvinfer.so.11` or `.so.10`. Default: COSMOS_EMBED_TENSORRT, otherwise from TENSORRT_ROOT, Python's packages
         * or the system, in this order.
         */
        tensorrt?: string | undefined
      }
    | undefined
  /**
   * What to do with `device: 'cuda'` when the model has no engine that fits: `auto` builds one, which takes minutes and
   * happens once; `never` rejects with the command that builds it. `device: 'auto'` never builds. Default `auto`.
   */
  buildEngine?: 'auto' | 'never' | undefined
  /**
   * A folder for engines that is searched before the bundle's `engines` folder and that receives new ones. Engines are
   * executable code, so the folder must be as trusted as the bundle. Default: none.
   */
  engineCache?: string | undefined
  /** Called with each line that an engine build prints. Default: the process warns once that a build has begun. */
  onBuild?: ((line: string) => void) | undefined
  /** Accepts only engines of this precision, and builds such. Default: any; a new engine takes the precision of the graphs. */
  precision?: Precision | undefined
  /**
   * Accepts only engines for batches of at least this many clips, 1 to 1024, and builds such. Default: any; a new engine is
   * built for `batching.maxVideoBatch`, the number of clips that are actually put into a batch.
   */
  engineBatch?: number | undefined
  /** Batches of one kind, text or video, that a GPU works on at a time: 1 or 2. Default 2; the engine may allow fewer. */
  contexts?: number | undefined
  /** Whether to replay batches as CUDA graphs where TensorRT allows it. Default true. */
  graphs?: boolean | undefined
  /** Whether to accept engines that contain code for the CPU, as version-compatible ones do. Default false. */
  hostCode?: boolean | undefined
  /** `never` decodes on the CPU only. Default `auto`: NVDEC for what it supports, unless the CPU is faster. */
  nvdec?: 'auto' | 'never' | undefined
  /** Videos that the NVDEC of one GPU decodes at a time, 1 to 64. Default: two for each of its engines. */
  nvdecWorkers?: number | undefined
  /**
   * Videos per GPU that the CPU may decode while NVDEC is busy, 0 to 1024. Default: half of the cores, shared among the
   * GPUs. The other half reads containers and runs the process.
   */
  cpuWorkers?: number | undefined
}

/** Options of decoding. */
export interface DecodeOptions {
  /**
   * Videos decoded at one time, 1 to 64. Default: as many as cores; on GPUs, `cuda.nvdecWorkers` plus
   * `cuda.cpuWorkers`.
   */
  concurrency?: number | undefined
  /**
   * Decoder threads for a video that is decoded alone, 1 to 64. Several videos at a time get one thread each. Default: as
   * many as cores.
   */
  threads?: number | undefined
  /**
   * What decoding one video may cost: `maxPixels` of a coded picture (default 8192 × 4352), `maxStreams` (16),
   * `maxPacketsWithoutFrame` (20,000), `maxWallSeconds` (300) and `maxBytes` allocated (2 GiB). Beyond `maxWallSeconds`
   * the call rejects with TimeoutError, beyond the others with LimitError.
   */
  limits?: { [Name in keyof NativeDecodeLimits]?: number | undefined } | undefined
  /**
   * Where media is decoded. `none`: in this process. `process`: in processes that have no files, no network and no rights, so
   * that a file which breaks a decoder costs nothing but its own item; a wall that this machine does not allow is warned of.
   * `required`: the same, but LibraryError where a wall is missing. On a GPU, the processes read the files and hand their
   * packets to NVDEC in this process. Default `none`; the default of `cosmos-embed serve` is `process`. See docs/isolation.md.
   */
  isolation?: Isolation | undefined
}

/** Where media is decoded, see {@link DecodeOptions.isolation}. */
export type Isolation = 'none' | 'process' | 'required'

/** Options of batching. */
export interface BatchingOptions {
  /** Clips per batch, ≥ 1. Default 8; on a GPU, what its engine was built for. The engine may allow fewer. */
  maxVideoBatch?: number | undefined
  /** Texts per batch, ≥ 1. Default 64. The engine may allow fewer. */
  maxTextBatch?: number | undefined
  /**
   * Tokens that a batch of texts may compute, ≥ 1: its texts times the tokens of the longest, because the others are padded
   * to it. Longer texts run alone. Default 4096 on a GPU, 1024 on the CPU.
   */
  maxTextTokens?: number | undefined
  /** How long a batch that is not full waits for more items, in milliseconds, 0 to 60,000. Default 0. */
  maxQueueDelayMs?: number | undefined
}

/** The type without the fields that are undefined. */
type DefinedFields<T> = { [Name in keyof T]: Exclude<T[Name], undefined> }

function definedFields<T extends object>(fields: T): DefinedFields<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as DefinedFields<T>
}

/** {@link CudaOptions} with defaults applied. */
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

/** {@link EmbedderOptions} with defaults applied. */
export interface ResolvedOptions {
  model: string | undefined
  device: 'auto' | 'cpu' | 'cuda'
  frameRule: NamedFrameRule
  servedNames: readonly string[]
  onnxruntime: DefinedFields<OnnxRuntimeOptions>
  cuda: ResolvedCudaOptions
  decode: {
    concurrency: number | undefined
    threads: number
    limits: NativeDecodeLimits
    isolation: Isolation
  }
  batching: {
    maxVideoBatch: number | undefined
    maxTextBatch: number
    maxTextTokens: number | undefined
    maxQueueDelayMs: number
  }
  urls: UrlPolicy
  limits: Limits
  signal: AbortSignal | undefined
}

/** Clips per batch when neither the options nor the engine set a number. */
export const DEFAULT_BATCH = 8
/** The most threads of the addon's pool, and of one decoder. */
export const MAX_THREADS = 64
/** `decode.limits.maxWallSeconds` where it is not given, as in the addon. */
export const DEFAULT_WALL_SECONDS = 300

const devices = ['auto', 'cpu', 'cuda'] as const

/** What applies when an option is not given. */
function defaults(): ResolvedOptions {
  return {
    model: undefined,
    device: 'auto',
    frameRule: 'card',
    servedNames: [],
    onnxruntime: {},
    cuda: {
      devices: [0],
      libraries: {},
      buildEngine: 'auto',
      engineCache: undefined,
      onBuild: undefined,
      precision: undefined,
      engineBatch: undefined,
      contexts: 2,
      graphs: true,
      hostCode: false,
      nvdec: 'auto',
      nvdecWorkers: undefined,
      cpuWorkers: undefined,
    },
    decode: {
      concurrency: undefined,
      threads: Math.min(cores, MAX_THREADS),
      limits: {
        maxPixels: 8192 * 4352,
        maxStreams: 16,
        maxPacketsWithoutFrame: 20_000,
        maxWallSeconds: DEFAULT_WALL_SECONDS,
        maxBytes: 2 * 1024 ** 3,
      },
      isolation: 'none',
    },
    batching: { maxVideoBatch: undefined, maxTextBatch: 64, maxTextTokens: undefined, maxQueueDelayMs: 0 },
    urls: 'public',
    limits: { ...defaultLimits },
    signal: undefined,
  }
}

const schema = lazySchema((z) => {
  const { cuda, decode, batching, ...fallback } = defaults()
  const count = z.int().min(1)
  const path = z.string().min(1)
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
        .transform(definedFields)
        .prefault({}),
      buildEngine: z.enum(['auto', 'never']).default(cuda.buildEngine),
      engineCache: path.optional(),
      onBuild: z
        .custom<(line: string) => void>((value) => typeof value === 'function', 'must be a function')
        .optional(),
      precision: z.enum(['fp32', 'fp16', 'bf16', 'fp8']).optional(),
      engineBatch: count.max(1024).optional(),
      contexts: z.int().min(1).max(2).default(cuda.contexts),
      graphs: z.boolean().default(cuda.graphs),
      hostCode: z.boolean().default(cuda.hostCode),
      nvdec: z.enum(['auto', 'never']).default(cuda.nvdec),
      nvdecWorkers: count.max(64).optional(),
      cpuWorkers: z.int().min(0).max(1024).optional(),
    })
    .prefault({})
  const { maxPixels, maxStreams, maxPacketsWithoutFrame, maxWallSeconds, maxBytes } = decode.limits
  return z
    .strictObject({
      model: z.string().min(1).optional(),
      device: z.enum(devices).default(fallback.device),
      frameRule: namedFrameRule().default(fallback.frameRule),
      servedNames: z.array(z.string().min(1)).default([]),
      onnxruntime: z
        .strictObject({
          library: path.optional(),
          intraOpThreads: z.int().min(0).max(1024).optional(),
          textLanes: z.int().min(1).max(64).optional(),
          spinning: z.boolean().optional(),
          memoryPattern: z.boolean().optional(),
          memoryArena: z.boolean().optional(),
        })
        .transform(definedFields)
        .prefault({}),
      cuda: cudaSchema,
      decode: z
        .strictObject({
          concurrency: count.max(MAX_THREADS).optional(),
          threads: count.max(MAX_THREADS).default(decode.threads),
          limits: z
            .strictObject({
              maxPixels: count.default(maxPixels),
              maxStreams: count.default(maxStreams),
              maxPacketsWithoutFrame: count.default(maxPacketsWithoutFrame),
              maxWallSeconds: z.number().positive().default(maxWallSeconds),
              maxBytes: count.default(maxBytes),
            })
            .prefault({}),
          isolation: z.enum(['none', 'process', 'required']).default(decode.isolation),
        })
        .prefault({}),
      batching: z
        .strictObject({
          maxVideoBatch: count.optional(),
          maxTextBatch: count.default(batching.maxTextBatch),
          maxTextTokens: count.optional(),
          maxQueueDelayMs: z.number().min(0).max(60_000).default(batching.maxQueueDelayMs),
        })
        .prefault({}),
      urls: urlPolicySchema(),
      limits: limitsSchema(),
      signal: z.custom<AbortSignal>(isSignal, 'must be an AbortSignal').optional(),
    })
    .refine(({ limits }) => limits.maxItemsInFlight >= limits.maxItems, {
      path: ['limits', 'maxItemsInFlight'],
      error: 'must be at least limits.maxItems, or a full request could never be admitted',
    })
})

/** Validates options and applies defaults. Throws InvalidArgumentError. */
export function resolveEmbedderOptions(options: EmbedderOptions): ResolvedOptions {
  if (hasFewOptions(options)) return { ...defaults(), ...options }
  return checkOptions(schema() as unknown as z.ZodType<ResolvedOptions, EmbedderOptions>, options, 'options')
}

/** Valid options, and only those that most programs give: the schema need not be loaded for them. */
function hasFewOptions(options: unknown): options is Partial<Pick<ResolvedOptions, 'model' | 'device'>> {
  if (!isPlainObject(options)) return false
  const { model, device, ...others } = options
  return (
    (!('model' in options) || isText(model)) &&
    (!('device' in options) || devices.some((name) => name === device)) &&
    Object.keys(others).length === 0
  )
}
