/** From a request to the list of items that it asks to embed. */
import { fileURLToPath } from 'node:url'
import { atItem, InvalidRequestError, LimitError, RequestTooLargeError } from '../errors.ts'
import type { Limits } from '../source/limits.ts'
import type { FrameSource, VideoSource } from '../source/source.ts'
import { checkRequest } from '../validate.ts'
import { Base64Decoder, base64Bytes } from './base64.ts'
import { type InputString, parseInputString } from './data-uri.ts'
import { type FrameRule, ownChoice } from './frame-rule.ts'
import type {
  EmbedRequest,
  EncodingFormat,
  FramesInput,
  ItemInput,
  RequestType,
  VideoInput,
} from './schema.ts'
import { embedRequestSchema, itemSchema, lowerCaseEnums, wireRequestSchema } from './schema.ts'

export type Item =
  | { kind: 'text'; text: string }
  | {
      kind: 'video'
      source: VideoSource
      start?: number
      end?: number
      frameRule?: FrameRule
      frameTolerance?: number
    }
  | { kind: 'frames'; frames: FrameSource[] }

export interface ParsedRequest {
  requestType: RequestType
  encodingFormat: EncodingFormat
  items: Item[]
}

/** What a request is checked against. */
export interface RequestRules {
  /** The bundle's id and its aliases. */
  models: readonly string[]
  /** Frames of one clip of the model. */
  frames: number
  limits: Limits
}

/**
 * Checks an in-process request by the documented rules and decodes inline media, yielding to the event loop in between.
 * Rejects with InvalidRequestError, RequestTooLargeError or LimitError (`index` says which item), or with `signal.reason`.
 */
export async function parseRequest(
  request: EmbedRequest,
  rules: RequestRules,
  signal?: AbortSignal,
): Promise<ParsedRequest> {
  signal?.throwIfAborted()
  return toItems(checkRequest(embedRequestSchema, lowerCaseEnums(request)), rules, signal)
}

/** The same for a JSON body, where only strings are items and `model` is required. */
export async function parseWireRequest(
  body: unknown,
  rules: RequestRules,
  signal?: AbortSignal,
): Promise<ParsedRequest> {
  signal?.throwIfAborted()
  return toItems(checkRequest(wireRequestSchema, lowerCaseEnums(body)), rules, signal)
}

/** One item by itself, of any kind. Rejects as {@link parseRequest}. */
export async function parseItem(
  input: ItemInput,
  rules: RequestRules,
  options: { signal?: AbortSignal | undefined; index?: number } = {},
): Promise<Item> {
  options.signal?.throwIfAborted()
  try {
    const form = formOf(checkRequest(itemSchema, input, ['input']), rules)
    return await toItem(form, rules, new Base64Decoder(options.signal))
  } catch (error) {
    throw options.index === undefined ? error : atItem(error, options.index)
  }
}

/** Bytes of media that the item already holds in memory. */
export function heldBytes(item: Item): number {
  if (item.kind === 'text') return 0
  const sources = item.kind === 'video' ? [item.source] : item.frames
  return sources.reduce((sum, source) => {
    if (source.type === 'bytes') return sum + source.bytes.byteLength
    return source.type === 'image' ? sum + source.image.data.byteLength : sum
  }, 0)
}

/** An input whose kind is known and whose payload is not yet decoded. */
type Form =
  | InputString
  | { form: 'typed_video'; input: VideoInput }
  | { form: 'typed_frames'; input: FramesInput }

async function toItems(
  request: EmbedRequest,
  rules: RequestRules,
  signal: AbortSignal | undefined,
): Promise<ParsedRequest> {
  const { request_type: requestType, encoding_format: encodingFormat = 'float', input, model } = request
  checkModel(model, rules)
  const inputs = Array.isArray(input) ? (input as readonly ItemInput[]) : [input as ItemInput]
  const { maxItems } = rules.limits
  if (inputs.length > maxItems) {
    throw new InvalidRequestError(`cosmos-embed supports maximum ${maxItems} inputs per request`, {
      details: { found: inputs.length, limit: maxItems },
    })
  }
  const forms = inputs.map((each, index) => blaming(index, () => formOf(each, rules)))
  checkCombination(requestType, forms)
  const decoder = new Base64Decoder(signal)
  const items: Item[] = []
  for (const [index, form] of forms.entries()) {
    try {
      items.push(await toItem(form, rules, decoder))
    } catch (error) {
      throw atItem(error, index)
    }
  }
  return { requestType, encodingFormat, items }
}

function checkModel(model: string | undefined, { models }: RequestRules): void {
  if (model === undefined || models.includes(model)) return
  const served = models.map((name) => `"${name}"`).join(' or ')
  throw new InvalidRequestError(`model: "${model.slice(0, 100)}" is not loaded here, use ${served}`)
}

function formOf(input: ItemInput, { frames, limits }: RequestRules): Form {
  if (typeof input === 'string') return checkForm(parseInputString(input, frames), limits)
  if ('text' in input) return checkForm({ form: 'text', text: input.text }, limits)
  if ('video' in input) return { form: 'typed_video', input }
  if (input.frames.length !== frames) {
    throw new InvalidRequestError(
      `frames must contain exactly ${frames} pictures, found ${input.frames.length}`,
      {
        details: { found: input.frames.length, expected: frames },
      },
    )
  }
  return { form: 'typed_frames', input }
}

/** Everything that can be said about a string before decoding it. */
function checkForm(form: InputString, limits: Limits): InputString {
  if (form.form === 'text') {
    if (form.text.trim() === '') throw new InvalidRequestError('text input must not be empty')
    if (form.text.length > limits.maxTextCharacters) {
      throw new LimitError(`text of ${form.text.length} characters exceeds maxTextCharacters`, {
        details: { found: form.text.length, limit: limits.maxTextCharacters },
      })
    }
    return form
  }
  if (form.encoding === 'base64') {
    const bytes = form.payloads.reduce((sum, payload) => sum + base64Bytes(payload), 0)
    if (bytes > limits.maxInlineBytes) {
      throw new RequestTooLargeError(
        `inline media of ${bytes} bytes exceeds maxInlineBytes ${limits.maxInlineBytes}: use a presigned URL`,
        { details: { found: bytes, limit: limits.maxInlineBytes } },
      )
    }
  }
  return form
}

/** Which forms may stand together, and where. The texts are those of the documented service. */
function checkCombination(requestType: RequestType, forms: readonly Form[]): void {
  const encodings = new Set(forms.map((form) => ('encoding' in form ? form.encoding : undefined)))
  if (encodings.has('base64') && encodings.has('presigned_url')) {
    throw new InvalidRequestError('Cannot mix base64 and presigned URL inputs in same request')
  }
  const refuse = (wrong: (form: Form) => boolean, message: string) => {
    const index = forms.findIndex(wrong)
    if (index >= 0) throw new InvalidRequestError(message, { index })
  }
  const isText = (form: Form) => form.form === 'text'
  if (requestType === 'query' && forms.length > 1) {
    refuse((form) => !isText(form), 'query video input must contain exactly one video')
  }
  if (requestType === 'bulk_text') refuse((form) => !isText(form), 'bulk_text input must contain text only')
  if (requestType === 'bulk_video') {
    refuse(isText, 'bulk_video input must contain videos only')
    refuse(
      (form) => form.form === 'video' && form.encoding === 'base64',
      'bulk_video full-video inputs must use ;presigned_url, payloads',
    )
  }
}

async function toItem(form: Form, rules: RequestRules, decoder: Base64Decoder): Promise<Item> {
  const { limits } = rules
  switch (form.form) {
    case 'text':
      return { kind: 'text', text: form.text }
    case 'typed_video': {
      const { video, start, end, frameRule, frameTolerance } = form.input
      if (frameRule !== undefined) checkChoice(frameRule, rules)
      return {
        kind: 'video',
        source: videoSource(video, limits),
        ...(start !== undefined && { start }),
        ...(end !== undefined && { end }),
        ...(frameRule !== undefined && { frameRule }),
        ...(frameTolerance !== undefined && { frameTolerance }),
      }
    }
    case 'typed_frames':
      return { kind: 'frames', frames: form.input.frames.map((frame) => frameSource(frame, limits)) }
    case 'video':
    case 'video_frames': {
      const sources = await payloadSources(form, limits, decoder)
      if (form.form === 'video_frames') return { kind: 'frames', frames: sources }
      return { kind: 'video', source: sources[0] as PayloadSource }
    }
  }
}

function checkChoice(rule: FrameRule, { frames }: RequestRules): void {
  const own = ownChoice(rule)
  if (own === undefined || own.count === frames) return
  throw new InvalidRequestError(
    `frameRule.${own.list} must name exactly ${frames} frames, found ${own.count}`,
    { details: { found: own.count, expected: frames } },
  )
}

type PayloadSource = { type: 'bytes'; bytes: Uint8Array } | { type: 'url'; url: string }

async function payloadSources(
  form: Exclude<InputString, { form: 'text' }>,
  limits: Limits,
  decoder: Base64Decoder,
): Promise<PayloadSource[]> {
  const sources: PayloadSource[] = []
  for (const [frame, payload] of form.payloads.entries()) {
    const name = form.form === 'video' ? 'video payload' : `video_frames payload ${frame}`
    if (form.encoding === 'base64')
      sources.push({ type: 'bytes', bytes: await decoder.decode(payload, name) })
    else sources.push(urlSource(payload, name, limits))
  }
  return sources
}

/** The text is never shown: a presigned URL is a credential. */
function urlSource(text: string, name: string, { maxUrlCharacters }: Limits): { type: 'url'; url: string } {
  if (text.length > maxUrlCharacters) {
    throw new LimitError(`${name} is a URL of ${text.length} characters, which exceeds maxUrlCharacters`, {
      details: { found: text.length, limit: maxUrlCharacters },
    })
  }
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw new InvalidRequestError(`${name} is not a URL: expected https://…`)
  }
  return { type: 'url', url: text }
}

function videoSource(video: VideoInput['video'], limits: Limits): VideoSource {
  if (typeof video === 'string') return { type: 'path', path: video }
  if (video instanceof URL) return urlOrFile(video, 'video', limits)
  if (video instanceof Uint8Array) return { type: 'bytes', bytes: video }
  return { type: 'stream', stream: video }
}

function frameSource(frame: FramesInput['frames'][number], limits: Limits): FrameSource {
  if (typeof frame === 'string') return { type: 'path', path: frame }
  if (frame instanceof URL) return urlOrFile(frame, 'frame', limits)
  if (frame instanceof Uint8Array) return { type: 'bytes', bytes: frame }
  return { type: 'image', image: frame }
}

function urlOrFile(url: URL, name: string, limits: Limits): { type: 'path'; path: string } | PayloadSource {
  if (url.protocol !== 'file:') return urlSource(url.href, name, limits)
  try {
    return { type: 'path', path: fileURLToPath(url) }
  } catch (cause) {
    throw new InvalidRequestError(`${name} is a file: URL that names no local path`, { cause })
  }
}

function blaming<T>(index: number, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw atItem(error, index)
  }
}
