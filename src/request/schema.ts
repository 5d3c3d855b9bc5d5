/**
 * The shapes of a request: on the wire (JSON) and in process. What the strings may hold and which form is
 * allowed where is checked in `items.ts`; the patterns here document it for the OpenAPI page.
 */
import { z } from 'zod'
import type { RgbImage } from '#binding'
import type { ByteStream } from '../source/source.ts'
import { type FrameRule, frameRule } from './frame-rule.ts'

export type RequestType = 'query' | 'bulk_text' | 'bulk_video'
export type EncodingFormat = 'float' | 'base64'

/** The documented JSON body of `POST /v1/embeddings`. */
export interface WireRequest {
  request_type: RequestType
  input: string | string[]
  model: string
  encoding_format?: EncodingFormat | undefined
}

export interface TextInput {
  text: string
}

export interface VideoInput {
  /** A string is a file path; a URL is `file:`, or fetched under the `urls` policy. Bytes are copied: see `Video`. */
  video: string | URL | Uint8Array | ByteStream
  /** Seconds from the first displayed frame, ≥ 0. Default 0. */
  start?: number | undefined
  /** Seconds, > start. Default: the end. */
  end?: number | undefined
  /** Which frames. Default: the embedder's rule. */
  frameRule?: FrameRule | undefined
  /** Seconds that a wanted frame may move to a cheaper one, ≥ 0. Default 0: exactly the chosen frames. */
  frameTolerance?: number | undefined
}

export interface FramesInput {
  /** Pictures, as many as the model takes: file path, URL, JPEG/PNG/WebP bytes, or interleaved RGB. */
  frames: readonly (string | URL | Uint8Array | RgbImage)[]
}

/** A string is text or one of the documented data-URI forms, never a path. */
export type ItemInput = string | TextInput | VideoInput | FramesInput

/** What `embed()` takes: the wire request, with typed items allowed and `model` optional. */
export interface EmbedRequest {
  request_type: RequestType
  input: ItemInput | readonly ItemInput[]
  /** If given, the id of the loaded bundle or one of its aliases. */
  model?: string | undefined
  encoding_format?: EncodingFormat | undefined
}

const requestTypes = ['query', 'bulk_text', 'bulk_video'] as const
const encodingFormats = ['float', 'base64'] as const

const presignedUrl = 'https?://[^{},]+'
const frameList =
  'data:video_frames/[^;,]+;(base64,\\{[A-Za-z0-9+/=]+(,[A-Za-z0-9+/=]+)*\\}' +
  `|presigned_url,\\{${presignedUrl}(,${presignedUrl})*\\})`
const videoUrl = `data:video/[^;,]+;presigned_url,${presignedUrl}`

/** Documented, not enforced: `items.ts` does that, with the contract's texts and without a regex over megabytes. */
const documented = {
  query: z.string().min(1),
  bulk_text: z.string().min(1).meta({ pattern: '^(?!data:)[\\s\\S]*\\S' }),
  bulk_video: z
    .string()
    .min(1)
    .meta({ pattern: `^(${videoUrl}|${frameList})$` }),
}

const wireVariant = <Type extends RequestType>(type: Type) =>
  z.strictObject({
    request_type: z.literal(type),
    input: z.union([documented[type], z.array(documented[type]).min(1)]),
    model: z.string(),
    encoding_format: z.enum(encodingFormats).optional(),
  })

/** One variant per `request_type`. Expects lower-case enums: see {@link lowerCaseEnums}. */
export const wireRequestSchema: z.ZodType<WireRequest> = z.discriminatedUnion(
  'request_type',
  [wireVariant('query'), wireVariant('bulk_text'), wireVariant('bulk_video')],
  {
    error: ({ code }) =>
      code === 'invalid_union' ? 'must be "query", "bulk_text" or "bulk_video"' : undefined,
  },
)

const seconds = z.number().min(0)
const notAPath = /^(data:|[a-z][a-z0-9+.-]+:\/\/)/i
const filePath = z
  .string()
  .min(1)
  .refine((path) => !notAPath.test(path), {
    error: 'must be a file path: pass a URL as new URL(…), and a data URI as the item itself',
  })
const bytes = z.instanceof(Uint8Array)
const url = z.instanceof(URL)
const videoForms = 'must be a file path, a URL, bytes (Uint8Array) or a stream of bytes'
const stream = z.custom<ByteStream>(
  (value) => typeof (value as Partial<ByteStream> | null)?.[Symbol.asyncIterator] === 'function',
  { error: videoForms },
)
const rgbImage = z
  .strictObject({ width: z.int().min(1), height: z.int().min(1), data: bytes })
  .refine(({ width, height, data }) => data.length === 3 * width * height, {
    error: ({ input }) => {
      const { width, height, data } = input as RgbImage
      return `must hold 3 * width * height = ${3 * width * height} bytes of RGB in data, found ${data.length}`
    },
  })

const textInput = z.strictObject({ text: z.string() })
const videoInput = z
  .strictObject({
    video: z.union([filePath, url, bytes, stream], {
      error: videoForms,
    }),
    start: seconds.optional(),
    end: seconds.optional(),
    frameRule: frameRule.optional(),
    frameTolerance: seconds.optional(),
  })
  .refine(({ start = 0, end }) => end === undefined || end > start, {
    path: ['end'],
    error: 'must be greater than start',
  })
const framesInput = z.strictObject({
  frames: z.array(
    z.union([filePath, url, bytes, rgbImage], {
      error: 'must be a file path, a URL, picture bytes (Uint8Array) or { width, height, data }',
    }),
  ),
})

export const itemSchema: z.ZodType<ItemInput> = z.union([z.string(), textInput, videoInput, framesInput], {
  error: 'must be a string, { text }, { video } or { frames }',
})

export const embedRequestSchema: z.ZodType<EmbedRequest> = z.strictObject({
  request_type: z.enum(requestTypes),
  input: z.union([itemSchema, z.array(itemSchema).min(1)]),
  model: z.string().optional(),
  encoding_format: z.enum(encodingFormats).optional(),
})

/** `request_type` and `encoding_format` are accepted in any case. */
export function lowerCaseEnums(request: unknown): unknown {
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return request
  const lowered: Record<string, unknown> = { ...request }
  for (const field of ['request_type', 'encoding_format']) {
    const value = lowered[field]
    if (typeof value === 'string') lowered[field] = value.toLowerCase()
  }
  return lowered
}
