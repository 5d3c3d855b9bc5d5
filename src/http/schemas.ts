/** Schemas and types of the response bodies, for the handlers and for the OpenAPI document. */
import type { core, ZodType } from 'zod'
import { zod } from '../base/zod.ts'
import { errorTable } from '../errors.ts'
import type { Warning } from '../types.ts'
import { type ErrorBody, transportTable } from './errors.ts'

const z = zod()

export interface EmbeddingList {
  object: 'list'
  data: { object: 'embedding'; index: number; embedding: number[] | string }[]
  model: string
  usage: { num_videos: number; prompt_tokens: number; total_tokens: number }
}

/** One line of the response of `POST /v1/segments`. */
export interface SegmentLine {
  object: 'segment'
  index: number
  /** Seconds from the first displayed frame of the video. */
  start: number
  end: number
  embedding: number[] | string
  warnings?: Warning[] | undefined
}

/** The last line, unless an error ended the response. */
export interface EndLine {
  object: 'segments.end'
  model: string
  segments: number
  usage: EmbeddingList['usage']
}

export interface Health {
  object: 'health.response'
  message: string
  status: string
  ready?: boolean | undefined
  live?: boolean | undefined
  model?: string | undefined
  embedding_dim?: number | undefined
}

export interface Model {
  id: string
  object: 'model'
  created: number
  owned_by: string
}

export interface ModelList {
  object: 'list'
  data: Model[]
}

export interface License {
  name: string
  path: string
  sha: string
  size: number
  url: string
  type: 'file'
  content: string
}

export interface Metadata {
  version: string
  assetInfo: string[]
  licenseInfo: License
  modelInfo: { shortName: string; modelUrl: string }[]
  repository_override: string
  selectedModelProfileId: string
  model: Record<string, unknown>
  runtime: Record<string, unknown>
  limits: Record<'request' | 'input' | 'decode' | 'inFlight', Record<string, number>>
  urls: 'off' | 'public' | 'rules'
}

export interface Manifest {
  manifest_file: string
  repository_override: string
}

export interface Version {
  release: string
  api: string
}

const errorCodes = Object.keys({ ...transportTable, ...errorTable }) as ErrorBody['error']['code'][]
const index = z.int().min(0)
const tally = z.record(z.string(), z.number())
const summary = z.object({ p50: z.number(), p95: z.number(), p99: z.number(), avg: z.number() })
const latency = summary.extend({ 'p99.9': z.number(), min: z.number(), max: z.number() })
const latencies = z.record(z.string(), summary.extend({ count: z.int() }))

const vector = z.union([z.array(z.number()), z.string()]).meta({
  description: 'A unit vector: numbers, or base64 of little-endian float32.',
})
const usage = z.strictObject({ num_videos: index, prompt_tokens: index, total_tokens: index })

export const embeddingList: ZodType<EmbeddingList> = z.strictObject({
  object: z.literal('list'),
  data: z.array(
    z.strictObject({
      object: z.literal('embedding'),
      index,
      embedding: vector,
    }),
  ),
  model: z.string(),
  usage,
})

export const errorBody: ZodType<ErrorBody> = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    detail: z.string().meta({ description: 'Same as `message`, for clients of the NIM.' }),
    type: z.string(),
    code: z.enum(errorCodes),
    param: z
      .string()
      .nullable()
      .meta({ description: 'The input or field that caused the error, e.g. `input[3]` or `model`.' }),
    status_code: z.int(),
  }),
})

const segmentLine: ZodType<SegmentLine> = z.strictObject({
  object: z.literal('segment'),
  index,
  start: z.number().meta({ description: 'Seconds from the first displayed frame.' }),
  end: z.number(),
  embedding: vector,
  warnings: z
    .array(
      z.strictObject({
        code: z.enum(['media', 'text_truncated', 'text_looks_like_media']),
        message: z.string(),
      }),
    )
    .optional(),
})

const endLine: ZodType<EndLine> = z.strictObject({
  object: z.literal('segments.end'),
  model: z.string(),
  segments: index,
  usage,
})

export const segmentsLine: ZodType = z.xor([segmentLine, endLine, errorBody]).meta({
  description: 'One line. The last one is `segments.end`, or the error that ended the response early.',
})

export const health: ZodType<Health> = z.strictObject({
  object: z.literal('health.response'),
  message: z.string(),
  status: z.string(),
  ready: z.boolean().optional(),
  live: z.boolean().optional(),
  model: z.string().optional(),
  embedding_dim: z.int().optional(),
})

export const model: ZodType<Model> = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
})

export const modelList: ZodType<ModelList> = z.strictObject({
  object: z.literal('list'),
  data: z.array(model),
})

export const license: ZodType<License> = z.strictObject({
  name: z.string(),
  path: z.string(),
  sha: z.string().meta({ description: 'SHA-1 of the content.' }),
  size: z.int().meta({ description: 'Characters of the content.' }),
  url: z.string(),
  type: z.literal('file'),
  content: z.string(),
})

export const metadata: ZodType<Metadata> = z.strictObject({
  version: z.string(),
  assetInfo: z.array(z.string()),
  licenseInfo: license,
  modelInfo: z.array(z.strictObject({ shortName: z.string(), modelUrl: z.string() })),
  repository_override: z.string(),
  selectedModelProfileId: z.string(),
  model: z.record(z.string(), z.unknown()),
  runtime: z.record(z.string(), z.unknown()),
  limits: z
    .strictObject({ request: tally, input: tally, decode: tally, inFlight: tally })
    .meta({ description: 'Bytes, milliseconds or counts, as the names say.' }),
  urls: z.enum(['off', 'public', 'rules']).meta({ description: 'Which URLs the server downloads.' }),
})

export const manifest: ZodType<Manifest> = z.strictObject({
  manifest_file: z.string(),
  repository_override: z.string(),
})

export const version: ZodType<Version> = z.strictObject({ release: z.string(), api: z.string() })

export const jsonMetrics: ZodType<Record<string, unknown>> = z.strictObject({
  service: z.strictObject({ uptime_seconds: z.number(), start_time: z.string() }),
  requests: z.strictObject({
    total: z.int(),
    success: z.int(),
    error: z.int(),
    success_rate_percent: z.number(),
    error_rate_percent: z.number(),
    in_flight: z.int(),
    in_flight_by_type: tally,
  }),
  requests_by_type: z.strictObject({ success: tally, error: tally }),
  requests_by_input_type: z.strictObject({ total: tally, success: tally, error: tally }),
  encoding_format_distribution: tally,
  status_codes: tally,
  errors_by_classification: tally,
  latency,
  latency_by_type: latencies,
  latency_by_input_type: latencies,
  error_latency: latency,
  error_latency_by_type: latencies,
  error_latency_by_input_type: latencies,
  throughput: z.strictObject({
    requests_per_minute: z.strictObject({ '1min': z.number(), '5min': z.number(), '15min': z.number() }),
  }),
  business_metrics: z.strictObject({
    total_embeddings: z.int(),
    total_tokens: z.int(),
    total_videos: z.int(),
    total_video_frames: z.int(),
    failed_inputs_total: z.int(),
  }),
  retries: z.strictObject({
    total: z.int(),
    success: z.int(),
    failure: z.int(),
    success_rate_percent: z.number(),
    last_retry_time: z.string().nullable(),
  }),
})

/** The bodies that the OpenAPI document defines once, under `components`, and refers to by `id`. */
export const components: core.$ZodRegistry<{ id: string }> = z.registry<{ id: string }>()
components
  .add(embeddingList, { id: 'EmbeddingList' })
  .add(errorBody, { id: 'Error' })
  .add(segmentsLine, { id: 'SegmentsLine' })
  .add(health, { id: 'Health' })
  .add(model, { id: 'Model' })
  .add(modelList, { id: 'ModelList' })
  .add(license, { id: 'License' })
  .add(metadata, { id: 'Metadata' })
  .add(manifest, { id: 'Manifest' })
  .add(version, { id: 'Version' })
  .add(jsonMetrics, { id: 'Metrics' })
