/** What the adapter can be told, checked and filled with defaults. */
import { z } from 'zod'
import type { Embedder } from '../types.ts'
import { checkOptions } from '../base/validate.ts'

const MiB = 1024 * 1024

export interface HttpLimits {
  /** Bytes of the body of `POST /v1/embeddings`. Default 128 MiB. */
  maxBodyBytes: number
  /** Bytes of bodies that are being received or parsed, over all requests. Default 512 MiB. */
  maxBodyBytesInFlight: number
  /** Bodies longer than this are parsed in a worker thread. Default 256 KiB. */
  workerBodyBytes: number
  /** Milliseconds between two pieces of a body. Default 15 000. */
  bodyIdleTimeoutMs: number
  /** Milliseconds from the whole body to the answer, or to the next line of one that comes in lines. Default 300 000. */
  requestTimeoutMs: number
  /** Milliseconds without progress while a client reads its answer. Default 30 000. */
  sendTimeoutMs: number
  /** Segments of one answer of `POST /v1/segments`. Default 10 000. */
  maxSegments: number
  /** Such answers at one time: each keeps a video open. Default 8. */
  maxSegmentStreams: number
}

export interface HttpOptions {
  /** Served once it is there and warmed; until then readiness is false. The caller disposes it. */
  embedder: Embedder | Promise<Embedder>
  /**
   * Bearer keys, any of which opens every route. Health, and the files of the page and the reference, are open without.
   * Default: none is asked for.
   */
  apiKeys?: readonly string[] | undefined
  /**
   * Names under which the server may be called, and whose pages may call it: host names or `*.suffix`; `*` is any.
   * Those of loopback are always among them. Default: on loopback no other, so that no page of another site reaches it
   * through its reader's browser; elsewhere any.
   */
  allowedHosts?: readonly string[] | undefined
  limits?: { [Name in keyof HttpLimits]?: HttpLimits[Name] | undefined } | undefined
  /**
   * For clients of OpenAI's API that cannot send `request_type`: where it is missing, one input is a `query`, several are
   * `bulk_text` or `bulk_video`. `dimensions`, if it is the model's own, `user` and null for what is optional are taken
   * then. Default false: the documented request.
   */
  inferRequestType?: boolean | undefined
  /** The page at `/`, and `POST /page/clip` that it needs. Default true. */
  page?: boolean | undefined
  /** The readable API reference at `/docs`. Default true. */
  docs?: boolean | undefined
  /** `/v1/metrics`, `/health/metrics` and `/v1/health/metrics`. Default true. */
  metrics?: boolean | undefined
  /** Spans through `@opentelemetry/api`, if that is installed. Default true: without an SDK they cost nothing. */
  tracing?: boolean | undefined
}

export interface ResolvedHttpOptions {
  embedder: Embedder | Promise<Embedder>
  apiKeys: readonly string[]
  allowedHosts: readonly string[]
  limits: HttpLimits
  inferRequestType: boolean
  page: boolean
  docs: boolean
  metrics: boolean
  tracing: boolean
}

const count = (fallback: number) => z.int().min(1).default(fallback)
const milliseconds = (fallback: number) => z.int().min(1).max(2_147_483_647).default(fallback)

const allowedHost = z
  .string()
  .regex(/^(\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?)$/i, { error: 'must be a host name, *.suffix or *' })
  .transform((name) => name.toLowerCase())

const schema = z.strictObject({
  embedder: z.custom<Embedder | Promise<Embedder>>(
    (value) => typeof value === 'object' && value !== null && ('embed' in value || 'then' in value),
    'must be an Embedder, or a promise of one',
  ),
  apiKeys: z.array(z.string().min(1)).default([]),
  allowedHosts: z.array(allowedHost).default([]),
  limits: z
    .strictObject({
      maxBodyBytes: count(128 * MiB),
      maxBodyBytesInFlight: count(512 * MiB),
      workerBodyBytes: count(256 * 1024),
      bodyIdleTimeoutMs: milliseconds(15_000),
      requestTimeoutMs: milliseconds(300_000),
      sendTimeoutMs: milliseconds(30_000),
      maxSegments: count(10_000),
      maxSegmentStreams: count(8),
    })
    .prefault({}),
  inferRequestType: z.boolean().default(false),
  page: z.boolean().default(true),
  docs: z.boolean().default(true),
  metrics: z.boolean().default(true),
  tracing: z.boolean().default(true),
})

/** Throws InvalidArgumentError. */
export function resolveOptions(options: HttpOptions): ResolvedHttpOptions {
  return checkOptions(schema as z.ZodType<ResolvedHttpOptions, unknown>, options, 'options')
}
