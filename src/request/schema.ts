/** The shapes of a request in process. Those on the wire, JSON, are in `wire.ts`; what the strings may hold is checked in `items.ts`. */
import { z } from 'zod'
import type { RgbImage } from '#binding'
import type { ByteStream, Bytes } from '../source/source.ts'
import { isBlob, isBytes, isResponse, isStream, isUrl } from '../source/type-guards.ts'
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

/** What every item may carry. */
interface Keyed {
  /** Whatever the caller knows the item by, e.g. an id in a database. It comes back with the result, untouched. */
  key?: unknown
}

export interface TextInput extends Keyed {
  text: string
}

export interface VideoInput extends Keyed {
  /**
   * A string is a file path; a URL is `file:`, or fetched under the `urls` policy. Bytes in memory, a `Blob` or `File`,
   * any stream of bytes, and the `Response` of a `fetch` are read under `limits.maxMediaBytes`; bytes are copied: see `Video`. A stream is the call's from
   * the moment it is passed, and closed when the call ends.
   */
  video: string | URL | Bytes | Blob | ByteStream | Response
  /** Seconds from the first displayed frame, ≥ 0. Default 0. */
  start?: number | undefined
  /** Seconds, > start. Default: the end. */
  end?: number | undefined
  /** Which frames. Default: the embedder's rule. */
  frameRule?: FrameRule | undefined
  /** Seconds that a wanted frame may move to a cheaper one, ≥ 0. Default 0: exactly the chosen frames. */
  frameTolerance?: number | undefined
}

export interface FramesInput extends Keyed {
  /** Pictures, as many as the model takes: file path, URL, JPEG/PNG/WebP bytes, or interleaved RGB. */
  frames: readonly Picture[]
}

/** A string is a file path. */
export type Picture = string | URL | Bytes | Blob | RgbImage

/** One thing to embed. Its field says what it is: a string alone could be a text or a path. */
export type ItemInput = TextInput | VideoInput | FramesInput

/** What `embed()` takes: the wire request, with typed items allowed and `model` optional. */
export interface EmbedRequest {
  request_type: RequestType
  /** A string is what it is on the wire: a text or one of the documented data URIs, never a path. */
  input: string | ItemInput | readonly (string | ItemInput)[]
  /** If given, the id of the loaded bundle or one of its aliases. */
  model?: string | undefined
  encoding_format?: EncodingFormat | undefined
}

const requestTypes = ['query', 'bulk_text', 'bulk_video'] as const
export const encodingFormats = ['float', 'base64'] as const

const seconds = z.number().min(0)
const notAPath = /^\s*(data:|[a-z][a-z0-9+.-]+:\/\/)/i
const filePath = z
  .string()
  .min(1)
  .refine((path) => !notAPath.test(path), {
    error: 'must be a file path: pass a URL as new URL(…), and media in memory as bytes',
  })
/** Told apart by a look, as strings are from numbers: of a union the message is that of the type that was meant. */
const ofType = <T>(look: (value: unknown) => boolean) => z.custom<T>(look, { params: { isType: true } })
const bytes = ofType<Bytes>(isBytes)
const pixels = ofType<Uint8Array>((value) => isBytes(value) && ArrayBuffer.isView(value))
const url = ofType<URL>(isUrl)
const blob = ofType<Blob>(isBlob)
const videoForms = 'must be a file path, a URL, bytes, a Blob, a stream of bytes or a Response'
const rgbImage = z
  .strictObject({ width: z.int().min(1), height: z.int().min(1), data: pixels })
  .refine(({ width, height, data }) => data.byteLength === 3 * width * height, {
    error: ({ input }) => {
      const { width, height, data } = input as RgbImage
      return `must hold 3 * width * height = ${3 * width * height} bytes of RGB in data, found ${data.byteLength}`
    },
  })

const key = z.unknown().optional()
const textInput = z.strictObject({ text: z.string(), key })
const videoInput = z
  .strictObject({
    video: z.union([filePath, ofType<Exclude<VideoInput['video'], string>>(isMedia)], {
      error: videoForms,
    }),
    start: seconds.optional(),
    end: seconds.optional(),
    frameRule: frameRule.optional(),
    frameTolerance: seconds.optional(),
    key,
  })
  .refine(({ start = 0, end }) => end === undefined || end > start, {
    path: ['end'],
    error: 'must be greater than start',
  })
const framesInput = z.strictObject({
  frames: z.array(
    z.union([filePath, url, bytes, blob, rgbImage], {
      error: 'must be a file path, a URL, picture bytes, a Blob or { width, height, data }',
    }),
  ),
  key,
})

function isMedia(value: unknown): boolean {
  return isUrl(value) || isBytes(value) || isBlob(value) || isStream(value) || isResponse(value)
}

export const itemSchema: z.ZodType<ItemInput> = z.union([textInput, videoInput, framesInput], {
  error: ({ input }) =>
    typeof input === 'string'
      ? 'is a string, which could be a text or a path: pass { text: … } or { video: … }'
      : 'must be { text }, { video } or { frames }',
})

const requestItem = z.union([z.string(), textInput, videoInput, framesInput], {
  error: 'must be a string, { text }, { video } or { frames }',
})

export const embedRequestSchema: z.ZodType<EmbedRequest> = z.strictObject(
  {
    request_type: z.enum(requestTypes),
    input: z.union([requestItem, z.array(requestItem).min(1)], {
      error: 'must be a string, { text }, { video } or { frames }, or a list of them',
    }),
    model: z.string().optional(),
    encoding_format: z.enum(encodingFormats).optional(),
  },
  {
    error: ({ code }) =>
      code === 'invalid_type' ? 'must be an object with request_type and input' : undefined,
  },
)

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
