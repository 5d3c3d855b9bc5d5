/** What `createEmbedder` takes. Every option has a default; a wrong one is an InvalidArgumentError that names it. */
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import type { NativeDecodeLimits } from '#binding'
import { type Limits, type LimitsInput, limitsSchema } from './source/limits.ts'
import { type UrlPolicy, urlPolicySchema } from './source/url-policy.ts'
import { checkOptions } from './validate.ts'

export interface EmbedderOptions {
  /** Folder of the model bundle. Default: the demo model of this package. */
  model?: string | undefined
  /** `auto` takes the best there is and says in `info().device.reason` what it took and why. Default `auto`. */
  device?: 'auto' | 'cpu' | 'cuda' | undefined
  /** Further names that a request's `model` may have, besides the bundle's id. */
  servedNames?: readonly string[] | undefined
  onnxruntime?: OnnxRuntimeOptions | undefined
  decode?: DecodeOptions | undefined
  batching?: BatchingOptions | undefined
  admission?: AdmissionOptions | undefined
  /** Which URLs may be fetched. Default `public`: https, public addresses. */
  urls?: UrlPolicy | undefined
  /** Of what comes in. */
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

export interface DecodeOptions {
  /** Videos decoded at one time, ≥ 1. Default: as many as cores. */
  concurrency?: number | undefined
  /** Decoder threads of a video that is decoded alone, ≥ 1; one each when there are several. Default: as many as cores. */
  threads?: number | undefined
  /** What one video may cost. */
  limits?: { [Name in keyof NativeDecodeLimits]?: number | undefined } | undefined
}

export interface BatchingOptions {
  /** Clips of one batch, ≥ 1. Default 8. The engine may allow fewer. */
  maxBatch?: number | undefined
  /** Texts of one batch, ≥ 1. Default 64. */
  maxTextBatch?: number | undefined
  /** How long a batch that is not full waits for company. Default 0: it does not. */
  maxQueueDelayMs?: number | undefined
}

export interface AdmissionOptions {
  /** Items in flight over all calls, at least `limits.maxItems`. Default 512. */
  maxItems?: number | undefined
  /** Bytes of media held in memory over all calls. Default 1 GiB. */
  maxBytes?: number | undefined
}

/** Without the fields that are undefined. */
type Given<T> = { [Name in keyof T]: Exclude<T[Name], undefined> }

function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>
}

export interface ResolvedOptions {
  model: string | undefined
  device: 'auto' | 'cpu' | 'cuda'
  servedNames: readonly string[]
  onnxruntime: Given<OnnxRuntimeOptions>
  decode: { concurrency: number; threads: number; limits: Partial<NativeDecodeLimits> }
  batching: Given<Required<BatchingOptions>>
  admission: Given<Required<AdmissionOptions>>
  urls: UrlPolicy
  limits: Limits
  signal: AbortSignal | undefined
}

const count = z.int().min(1)
const cores = availableParallelism()

const schema = z
  .strictObject({
    model: z.string().min(1).optional(),
    device: z.enum(['auto', 'cpu', 'cuda']).default('auto'),
    servedNames: z.array(z.string().min(1)).default([]),
    onnxruntime: z
      .strictObject({
        library: z.string().min(1).optional(),
        intraOpThreads: z.int().min(0).max(1024).optional(),
        spinning: z.boolean().optional(),
        memoryPattern: z.boolean().optional(),
        memoryArena: z.boolean().optional(),
      })
      .transform(given)
      .prefault({}),
    decode: z
      .strictObject({
        concurrency: count.max(1024).default(cores),
        threads: count.max(64).default(Math.min(cores, 64)),
        limits: z
          .strictObject({
            maxPixels: count.optional(),
            maxStreams: count.optional(),
            maxPacketsWithoutFrame: count.optional(),
            maxWallSeconds: z.number().positive().optional(),
            maxBytes: count.optional(),
          })
          .transform(given)
          .prefault({}),
      })
      .prefault({}),
    batching: z
      .strictObject({
        maxBatch: count.default(8),
        maxTextBatch: count.default(64),
        maxQueueDelayMs: z.number().min(0).max(60_000).default(0),
      })
      .prefault({}),
    admission: z
      .strictObject({ maxItems: count.default(512), maxBytes: count.default(1024 ** 3) })
      .prefault({}),
    urls: urlPolicySchema,
    limits: limitsSchema,
    signal: z.instanceof(AbortSignal).optional(),
  })
  .refine(({ admission, limits }) => admission.maxItems >= limits.maxItems, {
    path: ['admission', 'maxItems'],
    error: 'must be at least limits.maxItems, or a full request could never be admitted',
  })

export function resolveOptions(options: EmbedderOptions): ResolvedOptions {
  return checkOptions(schema as unknown as z.ZodType<ResolvedOptions, EmbedderOptions>, options, 'options')
}
