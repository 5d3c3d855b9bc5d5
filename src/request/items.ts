/** Turns a request into the list of items to embed. */
import { fileURLToPath } from 'node:url'
import { addItemIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { InternalError, InvalidRequestError, LimitError, SourceError } from '../errors.ts'
import type { Limits } from '../source/limits.ts'
import type { ByteStream, FrameSource, VideoSource } from '../source/source.ts'
import { asUint8Array, isBlob, isBytes, isResponse, isUrl } from '../source/type-guards.ts'
import { Base64Decoder, base64Bytes } from './base64.ts'
import { type InputString, parseInputString } from './data-uri.ts'
import { explicitFrames, type FrameRule } from './frame-rule.ts'
import type {
  EmbedRequest,
  EncodingFormat,
  FramesInput,
  ItemInput,
  Picture,
  RequestType,
  VideoInput,
} from './schema.ts'
import { checkEmbedRequest, checkItem } from './schema.ts'

export type Item =
  | {
      kind: 'text'
      text: string
      /** What the text may have been meant as, e.g. "a URL". */
      looksLike?: string
    }
  | {
      kind: 'video'
      source: VideoSource
      start?: number
      end?: number
      frameRule?: FrameRule
      frameTolerance?: number
    }
  | {
      kind: 'frames'
      frames: FrameSource[]
      /** The only picture is read once and stands for this many frames. */
      copies?: number
    }

export interface ParsedRequest {
  requestType: RequestType
  encodingFormat: EncodingFormat
  items: Item[]
}

/** A valid request whose inline media is still in base64. */
export interface RequestPlan extends Omit<ParsedRequest, 'items'> {
  /** What its items will hold in memory, known before anything is decoded. */
  cost: { items: number; bytes: number }
  /**
   * Decodes the inline media, yielding to the event loop. Rejects with InvalidRequestError or LimitError, with the `index` of
   * the item, or with `signal.reason`.
   */
  items(signal?: AbortSignal): Promise<Item[]>
}

export type VideoItem = Extract<Item, { kind: 'video' }>

/** What a request is validated against. */
export interface RequestRules {
  /** Names accepted as the request's `model`. */
  models: readonly string[]
  /** Frames of one clip of the model. */
  frames: number
  limits: Limits
}

/**
 * Validates an in-process request by the documented rules. Throws InvalidRequestError or LimitError, with the `index` of the
 * item at fault.
 */
export function planRequest(request: EmbedRequest, rules: RequestRules): RequestPlan {
  const parsed = parsedRequests.get(request)
  if (parsed) return { ...parsed, cost: costOf(parsed.items), items: async () => parsed.items }
  return planChecked(checkEmbedRequest(request), rules)
}

const parsedRequests = new WeakMap<EmbedRequest, ParsedRequest>()

/**
 * Lets {@link planRequest} reuse `parsed`. The HTTP adapter parses a body by the rules of its embedder before it passes the
 * request to `embed()`.
 */
export function rememberParsed(request: EmbedRequest, parsed: ParsedRequest): void {
  parsedRequests.set(request, parsed)
}

export function costOf(items: readonly Item[]): RequestPlan['cost'] {
  return { items: items.length, bytes: items.reduce((sum, item) => sum + heldBytes(item), 0) }
}

/** Parses a single item. Throws as {@link planRequest} does. */
export function parseItem(input: ItemInput, rules: RequestRules): Item {
  const form = formOf(checkItem(input), rules)
  return typedItem(form as Exclude<Form, Payload>, rules)
}

/** One picture as a video in which nothing moves. Throws as {@link planRequest} does. */
export function stillItem(image: Picture, rules: RequestRules): Item {
  const frames = Array.from({ length: rules.frames }, () => image)
  const item = parseItem({ frames }, rules)
  if (item.kind !== 'frames') throw new InternalError('a picture was parsed as another kind: this is a bug')
  return { kind: 'frames', frames: item.frames.slice(0, 1), copies: rules.frames }
}

/** Bytes of media that the item already holds in memory. */
export function heldBytes(item: Item): number {
  if (item.kind === 'text') return 0
  const sources = item.kind === 'video' ? [item.source] : item.frames
  return sources.reduce<number>((sum, source) => {
    if (source.type === 'bytes') return sum + source.bytes.byteLength
    return source.type === 'image' ? sum + source.image.data.byteLength : sum
  }, 0)
}

/** A string that holds media. */
type Payload = Exclude<InputString, { form: 'text' }>

/** An input whose kind is known and whose payload is still encoded. */
type Form =
  | InputString
  | { form: 'typed_video'; input: VideoInput }
  | { form: 'typed_frames'; input: FramesInput }

/** {@link planRequest} for a request that its schema has accepted. */
export function planChecked(request: EmbedRequest, rules: RequestRules): RequestPlan {
  const { request_type: requestType, encoding_format: encodingFormat = 'float', input, model } = request
  checkModel(model, rules)
  const inputs = Array.isArray(input) ? (input as readonly ItemInput[]) : [input as ItemInput]
  const { maxItems } = rules.limits
  if (inputs.length > maxItems) {
    throw new InvalidRequestError(`cosmos-embed supports maximum ${maxItems} inputs per request`, {
      details: { field: 'input', found: inputs.length, limit: maxItems },
    })
  }
  const forms = inputs.map((each, index) => withItemIndex(index, () => formOf(each, rules)))
  checkCombination(requestType, forms)
  const ready = forms.map((form, index) =>
    isPayload(form) ? form : withItemIndex(index, () => typedItem(form, rules)),
  )
  const bytes = ready.reduce((sum, each) => sum + ('kind' in each ? heldBytes(each) : inlineBytes(each)), 0)
  return {
    requestType,
    encodingFormat,
    cost: { items: ready.length, bytes },
    items: (signal) => decodeAll(ready, rules, signal),
  }
}

async function decodeAll(
  ready: readonly (Item | Payload)[],
  rules: RequestRules,
  signal: AbortSignal | undefined,
): Promise<Item[]> {
  const decoder = new Base64Decoder(signal)
  const items: Item[] = []
  for (const [index, each] of ready.entries()) {
    try {
      items.push('kind' in each ? each : await payloadItem(each, rules, decoder))
    } catch (error) {
      signal?.throwIfAborted()
      throw addItemIndex(toCosmosEmbedError(error), index)
    }
  }
  return items
}

function isPayload(form: Form): form is Payload {
  return form.form === 'video' || form.form === 'video_frames'
}

function inlineBytes({ encoding, payloads }: Payload): number {
  return encoding === 'base64' ? payloads.reduce((sum, payload) => sum + base64Bytes(payload), 0) : 0
}

function checkModel(model: string | undefined, { models }: RequestRules): void {
  if (model === undefined || models.includes(model)) return
  const served = models.map((name) => `"${name}"`).join(' or ')
  throw new InvalidRequestError(`model: "${model.slice(0, 100)}" is not loaded here, use ${served}`, {
    details: { field: 'model' },
  })
}

function formOf(input: string | ItemInput, { frames, limits }: RequestRules): Form {
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

/** Checks everything about a string that needs no decoding. */
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
  const bytes = inlineBytes(form)
  if (bytes <= limits.maxInlineBytes) return form
  throw new LimitError(
    `inline media of ${bytes} bytes exceeds maxInlineBytes ${limits.maxInlineBytes}: use a presigned URL`,
    { details: { found: bytes, limit: limits.maxInlineBytes } },
  )
}

/** Checks which forms the request type allows, and in which combinations. The messages are those of the documented service. */
function checkCombination(requestType: RequestType, forms: readonly Form[]): void {
  const encodings = new Set(forms.map((form) => ('encoding' in form ? form.encoding : undefined)))
  if (encodings.has('base64') && encodings.has('presigned_url')) {
    throw new InvalidRequestError('Cannot mix base64 and presigned URL inputs in same request', {
      details: { field: 'input' },
    })
  }
  const refuse = (isWrong: (form: Form) => boolean, message: string) => {
    const index = forms.findIndex(isWrong)
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

function typedItem(form: Exclude<Form, Payload>, rules: RequestRules): Item {
  const { limits } = rules
  switch (form.form) {
    case 'text':
      return {
        kind: 'text',
        text: form.text,
        ...(form.looksLike !== undefined && { looksLike: form.looksLike }),
      }
    case 'typed_video': {
      const { video, start, end, frameRule, frameTolerance } = form.input
      if (frameRule !== undefined) checkFrameList(frameRule, rules)
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
  }
}

function checkFrameList(rule: FrameRule, { frames }: RequestRules): void {
  const chosen = explicitFrames(rule)
  if (chosen === undefined || chosen.count === frames) return
  throw new InvalidRequestError(
    `frameRule.${chosen.list} must name exactly ${frames} frames, found ${chosen.count}`,
    { details: { found: chosen.count, expected: frames } },
  )
}

type PayloadSource = { type: 'bytes'; bytes: Uint8Array } | { type: 'url'; url: string }

async function payloadItem(form: Payload, { limits }: RequestRules, decoder: Base64Decoder): Promise<Item> {
  const sources: PayloadSource[] = []
  for (const [frame, payload] of form.payloads.entries()) {
    const name = form.form === 'video' ? 'video payload' : `video_frames payload ${frame}`
    if (form.encoding === 'base64')
      sources.push({ type: 'bytes', bytes: await decoder.decode(payload, name) })
    else sources.push(urlSource(payload, name, limits))
  }
  if (form.form === 'video_frames') return { kind: 'frames', frames: sources }
  return { kind: 'video', source: sources[0] as PayloadSource }
}

/** Messages never contain the URL, because a presigned URL is a credential. */
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
  if (isUrl(video)) return urlOrFile(video, 'video', limits)
  if (isBytes(video)) return { type: 'bytes', bytes: asUint8Array(video) }
  // Before the check for blobs, which a Response would also pass. It is read as a stream.
  if (isResponse(video)) return { type: 'stream', stream: bodyOf(video) }
  if (isBlob(video)) return { type: 'blob', blob: video }
  return { type: 'stream', stream: video }
}

function frameSource(frame: Picture, limits: Limits): FrameSource {
  if (typeof frame === 'string') return { type: 'path', path: frame }
  if (isUrl(frame)) return urlOrFile(frame, 'frame', limits)
  if (isBytes(frame)) return { type: 'bytes', bytes: asUint8Array(frame) }
  if (isBlob(frame)) return { type: 'blob', blob: frame }
  return { type: 'image', image: { ...frame, data: asUint8Array(frame.data) } }
}

export function bodyOf(response: Response): ByteStream {
  if (!response.ok) throw new SourceError(`the response has status ${response.status}: expected media`)
  if (response.bodyUsed) throw new SourceError('the body of the response has been read already')
  if (response.body === null) throw new SourceError('the response has no body')
  return response.body
}

function urlOrFile(url: URL, name: string, limits: Limits): { type: 'path'; path: string } | PayloadSource {
  if (url.protocol !== 'file:') return urlSource(url.href, name, limits)
  try {
    return { type: 'path', path: fileURLToPath(url) }
  } catch (cause) {
    throw new InvalidRequestError(`${name} is a file: URL that names no local path`, { cause })
  }
}

function withItemIndex<T>(index: number, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw addItemIndex(toCosmosEmbedError(error), index)
  }
}
