/** The documented request: checks it, splits it into HTTP requests, and merges their responses. */

import { addItemIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { InvalidRequestError } from '../errors.ts'
import type {
  EmbedRequest,
  EmbedResponse,
  EncodingFormat,
  ItemInput,
  RequestType,
  Timings,
} from '../types.ts'
import { encodeVector } from './base64.ts'
import type { BatchEntry, RequestBatch } from './request-batcher.ts'
import type { BatchVectors } from './response.ts'
import { rawItem, wireItem } from './wire-item.ts'

export interface CheckedRequest {
  requestType: RequestType
  format: EncodingFormat
  inputs: readonly (string | ItemInput)[]
  model: string | undefined
}

const fields = ['request_type', 'input', 'model', 'encoding_format']
const maxItems = 64

/** Checks what the client needs to know to send it; the server checks the rest. Throws InvalidRequestError. */
export function checkRequest(request: EmbedRequest): CheckedRequest {
  if (typeof request !== 'object' || request === null) {
    throw new InvalidRequestError('the request: must be an object with request_type and input')
  }
  const unknown = Object.keys(request).find((name) => !fields.includes(name))
  if (unknown !== undefined) {
    throw new InvalidRequestError(`the request: unknown field "${unknown.slice(0, 60)}"`)
  }
  const { input, model } = request
  const requestType = lowerCase(request.request_type)
  const format = lowerCase(request.encoding_format ?? 'float')
  if (requestType !== 'query' && requestType !== 'bulk_text' && requestType !== 'bulk_video') {
    throw new InvalidRequestError('request_type: must be "query", "bulk_text" or "bulk_video"')
  }
  if (format !== 'float' && format !== 'base64') {
    throw new InvalidRequestError('encoding_format: must be "float" or "base64"')
  }
  if (model !== undefined && typeof model !== 'string') throw new InvalidRequestError('model: must be a text')
  const inputs: readonly (string | ItemInput)[] = Array.isArray(input) ? input : [input]
  if (inputs.length === 0) throw new InvalidRequestError('input: must hold at least one item')
  if (inputs.length > maxItems) {
    throw new InvalidRequestError(`cosmos-embed supports maximum ${maxItems} inputs per request`, {
      details: { found: inputs.length, limit: maxItems },
    })
  }
  return { requestType, format, inputs, model }
}

function lowerCase(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

/**
 * Splits the inputs into one request, and one more for each inline item: the interface accepts those only in a `query`.
 * Throws InvalidRequestError or LimitError after closing all streams.
 */
export function splitRequest(
  requestType: RequestType,
  inputs: readonly (string | ItemInput)[],
): RequestBatch[] {
  const entries: BatchEntry[] = []
  try {
    for (const [index, input] of inputs.entries()) entries.push(entryOf(input, index))
    const inline = entries.filter(({ item }) => item.inline)
    const [first] = inline
    if (first && requestType === 'bulk_text') {
      throw new InvalidRequestError('bulk_text input must contain text only', { index: first.index })
    }
    if (first && requestType === 'query' && entries.length > 1) {
      throw new InvalidRequestError('query video input must contain exactly one video', {
        index: first.index,
      })
    }
    const others = entries.filter(({ item }) => !item.inline)
    return [
      ...(others.length > 0 ? [{ requestType, entries: others }] : []),
      ...inline.map((entry): RequestBatch => ({ requestType: 'query', entries: [entry] })),
    ]
  } catch (failure) {
    for (const { item } of entries) item.release()
    throw failure
  }
}

function entryOf(input: string | ItemInput, index: number): BatchEntry {
  try {
    return { item: typeof input === 'string' ? rawItem(input) : wireItem(input), index }
  } catch (failure) {
    throw addItemIndex(toCosmosEmbedError(failure), index)
  }
}

/** Merges the responses to the parts of a request into one. `timings` are sums, except `total`. */
export function mergeResponses(
  answers: readonly { part: RequestBatch; vectors: BatchVectors }[],
  { format, count, totalMs }: { format: EncodingFormat; count: number; totalMs: number },
): EmbedResponse {
  const response: EmbedResponse = {
    object: 'list',
    data: Array.from({ length: count }),
    model: answers[0]?.vectors.model ?? '',
    usage: { num_videos: 0, prompt_tokens: 0, total_tokens: 0 },
    warnings: [],
    timings: { download: 0, open: 0, decode: 0, convert: 0, queue: 0, encode: 0, total: totalMs },
  }
  for (const { part, vectors } of answers) {
    const indexOf = (position: number) => (part.entries[position] as BatchEntry).index
    for (const [position, vector] of vectors.vectors.entries()) {
      const index = indexOf(position)
      const embedding = format === 'base64' ? encodeVector(vector) : vector
      response.data[index] = { object: 'embedding', index, embedding }
    }
    const { usage, timings } = response
    usage.num_videos += vectors.usage.num_videos
    usage.prompt_tokens += vectors.usage.prompt_tokens
    usage.total_tokens += vectors.usage.total_tokens
    response.warnings.push(
      ...vectors.warnings.map((warning) => ({ ...warning, index: indexOf(warning.index) })),
    )
    for (const [stage, milliseconds] of Object.entries(vectors.stages)) {
      timings[stage as keyof Timings] += milliseconds
    }
  }
  return response
}
