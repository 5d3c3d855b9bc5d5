/** The options of the server and the plugin: types, validation and defaults. */
import type { ZodType } from 'zod'
import { checkOptions } from '../base/validate.ts'
import { zod } from '../base/zod.ts'
import type { Embedder } from '../types.ts'

const z = zod()

const MiB = 1024 * 1024

/** Limits of the HTTP interface, beside those of the embedder. */
export interface HttpLimits {
  /** Bytes of one request body. Default 128 MiB. */
  maxBodyBytes: number
  /** Bytes of all bodies that are being received or parsed. Default 512 MiB. */
  maxBodyBytesInFlight: number
  /** Bodies longer than this are parsed in a worker thread. Default 256 KiB. */
  workerBodyBytes: number
  /** Milliseconds without a byte of a body before the request fails with 408. Default 15 000. */
  bodyIdleTimeoutMs: number
  /** Milliseconds from the end of the body to the response, or between two lines of segments. Default 300 000. */
  requestTimeoutMs: number
  /** Milliseconds without progress while a response is sent. Default 30 000. */
  sendTimeoutMs: number
  /** Segments per response of `POST /v1/segments`. Default 10 000. */
  maxSegments: number
  /** Concurrent responses of `POST /v1/segments`, each of which keeps a video open. Default 8. */
  maxSegmentStreams: number
}

/** Options of the Fastify plugin and of `createServer`. */
export interface HttpOptions {
  /** Readiness is false until this embedder is loaded and warmed up. The caller disposes it. */
  embedder: Embedder | Promise<Embedder>
  /**
   * Bearer keys, any of which gives access to every route. Health and the files of the page and the API reference need no
   * key. Default: no key is required.
   */
  apiKeys?: readonly string[] | undefined
  /**
   * Host names that requests may use, and whose pages may call the server: names, `*.suffix`, or `*` for any. The names of
   * loopback are always allowed. Default: a server on loopback allows no others, so that pages of other sites cannot reach
   * it through a browser on this machine; any other server allows all.
   */
  allowedHosts?: readonly string[] | undefined
  limits?: { [Name in keyof HttpLimits]?: HttpLimits[Name] | undefined } | undefined
  /**
   * Accepts requests without `request_type`, as clients of OpenAI's API send them: one input is a `query`, several are
   * `bulk_text` or `bulk_video`. Such requests may also have `user`, `dimensions` if it is the model's own, and null for
   * optional fields. Default false: `request_type` is required.
   */
  inferRequestType?: boolean | undefined
  /** Serves the page at `/` and the route `POST /page/clip` that it uses. Default true. */
  page?: boolean | undefined
  /** Serves the API reference at `/docs`. Default true. */
  docs?: boolean | undefined
  /** Serves `/v1/metrics`, `/metrics`, `/health/metrics` and `/v1/health/metrics`. Default true. */
  metrics?: boolean | undefined
  /** Creates spans if `@opentelemetry/api` is installed. Default true: without an SDK they cost nothing. */
  tracing?: boolean | undefined
  /**
   * Records metrics through `@opentelemetry/api` if it is installed, beside those of `/v1/metrics`. Default true: without an
   * SDK they cost nothing. The SDK must be started before the server.
   */
  otelMetrics?: boolean | undefined
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
  otelMetrics: boolean
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
  otelMetrics: z.boolean().default(true),
})

/** Throws InvalidArgumentError. */
export function resolveHttpOptions(options: HttpOptions): ResolvedHttpOptions {
  return checkOptions(schema as ZodType<ResolvedHttpOptions, unknown>, options, 'options')
}
