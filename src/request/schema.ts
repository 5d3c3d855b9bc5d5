/** Types and validation of in-process requests. `wire.ts` has the bodies of HTTP; `items.ts` checks the strings. */
import type { z } from 'zod'
import type { RgbImage } from '#binding'
import { checkRequest } from '../base/validate.ts'
import { lazySchema } from '../base/zod.ts'
import type { ByteStream, Bytes } from '../source/source.ts'
import { isBlob, isBytes, isPlainObject, isResponse, isStream, isUrl } from '../source/type-guards.ts'
import { type FrameRule, frameRule } from './frame-rule.ts'

/**
 * What a request embeds: `query` texts or one video, with priority over bulk work; `bulk_text` texts only; `bulk_video`
 * videos only.
 */
export type RequestType = 'query' | 'bulk_text' | 'bulk_video'
/** `float` returns vectors as `Float32Array` (in JSON: arrays of numbers), `base64` as text of little-endian float32. */
export type EncodingFormat = 'float' | 'base64'

/** The documented JSON body of `POST /v1/embeddings`. */
export interface WireRequest {
  request_type: RequestType
  input: string | string[]
  model: string
  encoding_format?: EncodingFormat | undefined
}

interface Keyed {
  /** Any value by which the caller identifies the item, e.g. a database id. It is returned with the result, unchanged. */
  key?: unknown
}

/** A text to embed. The text is used as it is, even if it looks like a URL or a path. */
export interface TextInput extends Keyed {
  text: string
}

/** A video to embed, or a range of one. */
export interface VideoInput extends Keyed {
  /**
   * A file path, a URL (`file:`, or fetched under the `urls` policy), bytes, a `Blob` or `File`, a stream of bytes, or the
   * `Response` of a `fetch`. A string is always a path. What is read into memory is limited by `limits.maxMediaBytes`. Bytes
   * are copied when they are decoded: see `Video`. A stream belongs to the call from the moment it is passed and is closed
   * when the call ends.
   */
  video: string | URL | Bytes | Blob | ByteStream | Response
  /** Seconds from the first displayed frame, ≥ 0. Default 0. */
  start?: number | undefined
  /** Seconds from the first displayed frame, > `start`. Default: the end of the video. */
  end?: number | undefined
  /** Which frames the model sees. Default: the embedder's rule. */
  frameRule?: FrameRule | undefined
  /** Seconds by which a chosen frame may move to one that is cheaper to decode, ≥ 0. Default 0: exactly the chosen frames. */
  frameTolerance?: number | undefined
}

/** Pictures to embed as the frames of one clip. */
export interface FramesInput extends Keyed {
  /** Exactly `info().model.frames` pictures, in order. */
  frames: readonly Picture[]
}

/**
 * A picture: a file path (a string is always a path), a URL, JPEG, PNG or WebP bytes, a `Blob`, or interleaved RGB of
 * `3 * width * height` bytes.
 */
export type Picture = string | URL | Bytes | Blob | RgbImage

/** One item to embed. Its field says what it is, because a bare string could be a text or a path. */
export type ItemInput = TextInput | VideoInput | FramesInput

/** What `embed()` takes: the documented request, in which items may also be objects and `model` is optional. */
export interface EmbedRequest {
  request_type: RequestType
  /** One item or a list. A string is a text or a documented data URI, as over HTTP, and never a path. */
  input: string | ItemInput | readonly (string | ItemInput)[]
  /** The id of the loaded model or one of its served names. Default: the loaded model. */
  model?: string | undefined
  /** Default `float`. */
  encoding_format?: EncodingFormat | undefined
}

const requestTypes = ['query', 'bulk_text', 'bulk_video'] as const
export const encodingFormats = ['float', 'base64'] as const

const notAPath = /^\s*(data:|[a-z][a-z0-9+.-]+:\/\/)/i
const videoForms = 'must be a file path, a URL, bytes, a Blob, a stream of bytes or a Response'

function isMedia(value: unknown): boolean {
  return isUrl(value) || isBytes(value) || isBlob(value) || isStream(value) || isResponse(value)
}

function isPixels(value: unknown): value is Uint8Array {
  return isBytes(value) && ArrayBuffer.isView(value)
}

const schemas = lazySchema((z): { item: z.ZodType<ItemInput>; request: z.ZodType<EmbedRequest> } => {
  const seconds = z.number().min(0)
  const filePath = z
    .string()
    .min(1)
    .refine((path) => !notAPath.test(path), {
      error: 'must be a file path: pass a URL as new URL(…), and media in memory as bytes',
    })
  /** A type recognised by a predicate. `isType` tells `describeIssues` that a mismatch is one of type, as with built-in types. */
  const ofType = <T>(predicate: (value: unknown) => boolean) =>
    z.custom<T>(predicate, { params: { isType: true } })
  const bytes = ofType<Bytes>(isBytes)
  const pixels = ofType<Uint8Array>(isPixels)
  const url = ofType<URL>(isUrl)
  const blob = ofType<Blob>(isBlob)
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
      frameRule: frameRule().optional(),
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

  const item = z.union([textInput, videoInput, framesInput], {
    error: ({ input }) =>
      typeof input === 'string'
        ? 'is a string, which could be a text or a path: pass { text: … } or { video: … }'
        : 'must be { text }, { video } or { frames }',
  })

  const requestItem = z.union([z.string(), textInput, videoInput, framesInput], {
    error: 'must be a string, { text }, { video } or { frames }',
  })

  const request = z.strictObject(
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
  return { item, request }
})

/** Validates one item. Throws InvalidRequestError. */
export function checkItem(input: unknown): ItemInput {
  return isTextInput(input) ? input : checkRequest(schemas().item, input, ['input'])
}

/** Validates a request, whose enums may have any case. Throws InvalidRequestError. */
export function checkEmbedRequest(request: unknown): EmbedRequest {
  return checkRequest(schemas().request, lowerCaseEnums(request))
}

/** The item of `embedText`, for which the schema need not be loaded. */
function isTextInput(input: unknown): input is TextInput {
  return isPlainObject(input) && typeof input.text === 'string' && Object.keys(input).length === 1
}

/** Lower-cases `request_type` and `encoding_format`, which are accepted in any case. */
export function lowerCaseEnums(request: unknown): unknown {
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return request
  const lowered: Record<string, unknown> = { ...request }
  for (const field of ['request_type', 'encoding_format']) {
    const value = lowered[field]
    if (typeof value === 'string') lowered[field] = value.toLowerCase()
  }
  return lowered
}
