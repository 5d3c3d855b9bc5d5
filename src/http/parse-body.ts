/** Parses the bytes of a body into a validated request. Runs on the main thread or, for long bodies, in `body-worker.ts`. */
import type { Item, ParsedRequest } from '../request/items.ts'
import type { EmbedRequest, ItemInput, WireRequest } from '../request/schema.ts'
import {
  type ParsedSegments,
  parseSegmentsRequest,
  parseWireRequest,
  type WireRules,
} from '../request/wire.ts'
import { HttpError } from './errors.ts'
import { checkShape } from './json-shape.ts'

/** The parsed body of each route. */
export interface Bodies {
  embeddings: ParsedEmbeddings
  segments: ParsedSegments
}

export type BodyKind = keyof Bodies

export interface ParsedEmbeddings extends ParsedRequest {
  /** The request for `embed()`. Inline media is decoded to bytes; texts and URLs stay the strings of the body. */
  request: EmbedRequest & { model: string }
}

export type InputType = 'text' | `video${'_frames' | ''}_${'base64' | 'presigned_url'}`

/** Rejects with HttpError (`invalid_json`) or as `parseWireRequest` does. */
export async function parseBody<Kind extends BodyKind>(
  kind: Kind,
  blocks: readonly Uint8Array[],
  rules: WireRules,
  signal?: AbortSignal,
): Promise<Bodies[Kind]>
export async function parseBody(
  kind: BodyKind,
  blocks: readonly Uint8Array[],
  rules: WireRules,
  signal?: AbortSignal,
): Promise<Bodies[BodyKind]> {
  const { maxItems } = rules.limits
  const body = truncateInputs(parseJson(blocks, maxItems), maxItems)
  if (kind === 'segments') return parseSegmentsRequest(body, rules, signal)
  const parsed = await parseWireRequest(body, rules, signal)
  // parseWireRequest has validated it.
  const { input, model } = body as WireRequest
  const inputs = typeof input === 'string' ? [input] : input
  const { requestType, encodingFormat, items } = parsed
  return {
    ...parsed,
    request: {
      request_type: requestType,
      encoding_format: encodingFormat,
      model,
      input: items.map((item, index) => inlineMedia(item) ?? (inputs[index] as string)),
    },
  }
}

/** The form of an input, as a label of metrics. */
export function inputTypeOf(item: Item): InputType {
  if (item.kind === 'text') return 'text'
  const form = item.kind === 'video' ? 'video' : 'video_frames'
  return `${form}_${inlineMedia(item) ? 'base64' : 'presigned_url'}`
}

/** Far above what any valid request has; `maxOtherValues` does not count inputs. */
const maxDepth = 16
const maxOtherValues = 1000

/** Made once, because making one takes longer than decoding a short body. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(blocks: readonly Uint8Array[], maxItems: number): unknown {
  const [first, ...others] = blocks
  const bytes = first && others.length === 0 ? first : Buffer.concat(blocks)
  checkShape(bytes, { depth: maxDepth, values: maxOtherValues + maxItems })
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new HttpError('invalid_json', 'the body is not UTF-8')
  }
  if (text.trim() === '') throw new HttpError('invalid_json', 'the body is empty: expected a JSON object')
  try {
    return JSON.parse(text)
  } catch (error) {
    // Only the position: the rest of V8's message quotes the body, which may hold credentials.
    const place = / at position \d+/.exec(String(error))?.[0] ?? ''
    throw new HttpError('invalid_json', `the body is not JSON${place}`)
  }
}

/** Truncates inputs to one more than allowed: validation still rejects them, without looking at millions. */
function truncateInputs(body: unknown, maxItems: number): unknown {
  const { input } = (body ?? {}) as { input?: unknown }
  if (!Array.isArray(input) || input.length <= maxItems) return body
  return { ...(body as object), input: input.slice(0, maxItems + 1) }
}

/** Inline media as a typed item; undefined for texts and URLs. */
function inlineMedia(item: Item): ItemInput | undefined {
  if (item.kind === 'video' && item.source.type === 'bytes') return { video: item.source.bytes }
  if (item.kind !== 'frames') return undefined
  const frames = item.frames.flatMap((frame) => (frame.type === 'bytes' ? [frame.bytes] : []))
  return frames.length === item.frames.length ? { frames } : undefined
}
