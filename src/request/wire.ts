/**
 * Types and validation of the JSON bodies of HTTP. The patterns here only document strings in the OpenAPI document. `items.ts`
 * validates strings with the messages of the contract and without a regular expression over megabytes.
 */
import { z } from 'zod'
import { checkRequest } from '../base/validate.ts'
import { InvalidRequestError } from '../errors.ts'
import { type NamedFrameRule, namedFrameRule } from './frame-rule.ts'
import { type ParsedRequest, planChecked, type RequestRules, type VideoItem } from './items.ts'
import {
  type EncodingFormat,
  encodingFormats,
  lowerCaseEnums,
  type RequestType,
  type WireRequest,
} from './schema.ts'
import { chooseOneWay, cuts, threshold } from './segment-rule.ts'

/** What a body is validated against. */
export interface WireRules extends RequestRules {
  /**
   * Set to serve clients of OpenAI's API, which have no `request_type`: it is inferred from the input. Other fields of that API
   * are accepted if their values ask for nothing that this model cannot do.
   */
  openAi?: { embeddingDim: number } | undefined
}

/** The body of `POST /v1/segments`. */
export interface SegmentsRequest {
  /** A whole video: `data:video/…;base64,…` or `data:video/…;presigned_url,…`. */
  input: string
  model: string
  /** Length of a segment in seconds. */
  window_seconds?: number | undefined
  /** Seconds between the starts of two segments. Default: `window_seconds`. */
  stride_seconds?: number | undefined
  /** Seconds at which segments begin. */
  at?: number[] | undefined
  /** One segment per shot. */
  shots?: true | { threshold?: number | undefined; min_seconds?: number | undefined } | undefined
  /** Seconds from the first displayed frame. Default 0. */
  start?: number | undefined
  /** Seconds from the first displayed frame. Default: the end of the video. */
  end?: number | undefined
  frame_rule?: NamedFrameRule | undefined
  encoding_format?: EncodingFormat | undefined
}

/** A valid body whose media is decoded from base64. */
export interface ParsedSegments {
  request: SegmentsRequest
  item: VideoItem
}

/** A case-insensitive pattern, because JSON Schema has no flag for it. */
const anyCase = (text: string) => text.replace(/[a-z]/g, (letter) => `[${letter.toUpperCase()}${letter}]`)
const start = (kind: string) => `^\\s*${anyCase(`data:${kind}/`)}[^;,]+(;[^;]*)*;\\s*`
const anyEncoding = `(${anyCase('base64')}|${anyCase('presigned_url')}),`
const videoUrl = `${start('video')}${anyCase('presigned_url')},`
const frameList = `${start('video_frames')}${anyEncoding}`

const text = z.string({
  error: ({ input }) =>
    typeof input === 'number' || Array.isArray(input) ? 'must be a string, not token ids' : undefined,
})
const documented = {
  query: text.min(1),
  bulk_text: text.min(1).meta({ pattern: '\\S' }),
  bulk_video: text.min(1).meta({ pattern: `(${videoUrl})|(${frameList})` }),
}
const inputs = {
  query: 'One text, a list of texts, or one video as a data URI.',
  bulk_text: 'Texts.',
  bulk_video: 'Videos, each as a data URI with a URL or with a list of pictures.',
}
const encodingFormat = z.enum(encodingFormats).optional()
const oneOrMany = (item: z.ZodString) =>
  z.union([item, z.array(item).min(1)], { error: 'must be a string or a list of strings' })

const variant = <Type extends RequestType>(type: Type) =>
  z.strictObject({
    request_type: z.literal(type),
    input: oneOrMany(documented[type]).meta({ description: inputs[type] }),
    model: z.string(),
    encoding_format: encodingFormat,
  })

const fields = 'must be an object: {"request_type": …, "input": …, "model": …}'

/** One variant per `request_type`. Expects lower-case enums: see {@link lowerCaseEnums}. */
export const wireRequestSchema: z.ZodType<WireRequest> = z.discriminatedUnion(
  'request_type',
  [variant('query'), variant('bulk_text'), variant('bulk_video')],
  {
    error: ({ code }) => (code === 'invalid_union' ? 'must be "query", "bulk_text" or "bulk_video"' : fields),
  },
)

/** The body of OpenAI's clients, for the OpenAPI document of a server that accepts it. */
export const openAiRequestSchema = (embeddingDim: number): z.ZodType =>
  z.strictObject({
    input: oneOrMany(documented.query),
    model: z.string(),
    encoding_format: z.enum(encodingFormats).nullish(),
    dimensions: z.literal(embeddingDim).nullish(),
    user: z.string().nullish(),
  })

const seconds = z.number().min(0).optional()
const length = z.number().positive('must be a number of seconds above 0')

export const segmentsRequestSchema: z.ZodType<SegmentsRequest> = z
  .strictObject(
    {
      input: z
        .string()
        .min(1)
        .meta({ pattern: `${start('video')}${anyEncoding}`, description: 'One whole video.' }),
      model: z.string(),
      window_seconds: length
        .optional()
        .meta({ description: 'Length of a segment in seconds. One of this, `at` and `shots` is required.' }),
      stride_seconds: length
        .optional()
        .meta({ description: 'Seconds between the starts of two segments. Default: `window_seconds`.' }),
      at: cuts.optional().meta({ description: 'Ascending seconds at which segments begin.' }),
      shots: z
        .union([z.literal(true), z.strictObject({ threshold, min_seconds: seconds })], {
          error: 'must be true, or an object with threshold and min_seconds',
        })
        .optional()
        .meta({ description: 'One segment per shot: `true`, or how shots are told apart.' }),
      start: seconds.meta({ description: 'Seconds from the first displayed frame. Default: 0.' }),
      end: seconds.meta({
        description: 'Seconds from the first displayed frame. Default: the end of the video.',
      }),
      frame_rule: namedFrameRule.optional(),
      encoding_format: encodingFormat,
    },
    {
      error: ({ code }) =>
        code === 'invalid_type'
          ? 'must be an object: {"input": …, "window_seconds": …, "model": …}'
          : undefined,
    },
  )
  .superRefine(chooseOneWay({ window: 'window_seconds', stride: 'stride_seconds', at: 'at', shots: 'shots' }))
  .refine(({ start = 0, end }) => end === undefined || end > start, {
    path: ['end'],
    error: 'must be greater than start',
  })

/**
 * Parses a body of `POST /v1/embeddings`, whose items are strings and whose `model` is required. Rejects with
 * InvalidRequestError or LimitError, with the `index` of the item, or with `signal.reason`.
 */
export async function parseWireRequest(
  body: unknown,
  rules: WireRules,
  signal?: AbortSignal,
): Promise<ParsedRequest> {
  signal?.throwIfAborted()
  const documentedBody = rules.openAi ? fromOpenAi(body, rules.openAi) : body
  const request = checkRequest(wireRequestSchema, lowerCaseEnums(documentedBody))
  const { requestType, encodingFormat, items } = planChecked(request, rules)
  return { requestType, encodingFormat, items: await items(signal) }
}

/** Parses a body of `POST /v1/segments`. Rejects as {@link parseWireRequest} does. */
export async function parseSegmentsRequest(
  body: unknown,
  rules: RequestRules,
  signal?: AbortSignal,
): Promise<ParsedSegments> {
  signal?.throwIfAborted()
  const request = checkRequest(segmentsRequestSchema, lowerCaseEnums(body))
  const { input, model } = request
  const [item] = await planChecked({ request_type: 'query', input, model }, rules).items(signal)
  if (item?.kind !== 'video') {
    throw new InvalidRequestError(
      'segments are made of one whole video: data:video/<fmt>;base64,… or data:video/<fmt>;presigned_url,<url>',
      { details: { field: 'input' } },
    )
  }
  return { request, item }
}

/** Converts a body of OpenAI's API to the documented one. */
function fromOpenAi(body: unknown, { embeddingDim }: { embeddingDim: number }): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
  const { request_type, encoding_format, dimensions, user, ...rest } = body as Record<string, unknown>
  if (user != null && typeof user !== 'string') throw wrongField('user', 'must be a string')
  if (dimensions != null && dimensions !== embeddingDim) {
    throw wrongField('dimensions', `vectors of this model have ${embeddingDim}, and are not cut`)
  }
  return {
    ...rest,
    request_type: request_type ?? typeOf(rest.input),
    ...(encoding_format != null && { encoding_format }),
  }
}

function wrongField(field: string, message: string): InvalidRequestError {
  return new InvalidRequestError(`${field}: ${message}`, { details: { field } })
}

/** Infers the request type: a single input is a query, and the first of several decides for all. */
function typeOf(input: unknown): RequestType {
  if (!Array.isArray(input) || input.length < 2) return 'query'
  return typeof input[0] === 'string' && /^\s*data:video(_frames)?\//i.test(input[0])
    ? 'bulk_video'
    : 'bulk_text'
}
