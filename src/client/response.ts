/** Parses what servers respond: `cosmos-embed serve`, the NIM, NVIDIA's open-source server, and proxies in front of them. */
import {
  type CosmosEmbedError,
  type ErrorCode,
  type ErrorDetails,
  errorTable,
  InvalidRequestError,
  NotReadyError,
  OverloadedError,
  RemoteError,
  RequestTooLargeError,
  TimeoutError,
} from '../errors.ts'
import type { RequestWarning, Timings, Usage } from '../types.ts'
import { decodeVector } from './base64.ts'

export interface HttpResponse {
  status: number
  headers: Headers
  text: string
}

export interface BatchVectors {
  /** In the order of the inputs. */
  vectors: Float32Array[]
  model: string
  usage: Usage
  /** Each `index` is the item's position in the request. */
  warnings: RequestWarning[]
  stages: Partial<Timings>
}

/**
 * The vectors of a 2xx response, one per input, normalised to unit length. Throws RemoteError for a body of another form,
 * and the error that the body describes if it describes one.
 */
export function parseVectors(response: HttpResponse, expected: number): BatchVectors {
  const body = jsonOf(response)
  // NVIDIA's services sometimes report an error with status 200.
  if (body?.error !== undefined) throw parseError(response)
  const { data, model, usage } = (body ?? {}) as {
    data?: unknown
    model?: unknown
    usage?: Partial<Usage>
  }
  if (!Array.isArray(data)) throw malformed('has no list of vectors')
  if (data.length !== expected) throw malformed(`has ${data.length} vectors for ${expected} inputs`)
  const vectors: Float32Array[] = []
  for (const [position, entry] of data.entries()) {
    const { index = position, embedding } = (entry ?? {}) as { index?: unknown; embedding?: unknown }
    if (!Number.isInteger(index) || (index as number) >= expected || vectors[index as number]) {
      throw malformed('has a vector whose index belongs to no input, or to two')
    }
    vectors[index as number] = unitVector(embedding)
  }
  if (vectors.some(({ length }) => length !== vectors[0]?.length))
    throw malformed('has vectors of different lengths')
  const count = (value: unknown) => (typeof value === 'number' ? value : 0)
  return {
    vectors,
    model: typeof model === 'string' ? model : '',
    usage: {
      num_videos: count(usage?.num_videos),
      prompt_tokens: count(usage?.prompt_tokens),
      total_tokens: count(usage?.total_tokens),
    },
    warnings: warningsOf(response.headers, expected),
    stages: stagesOf(response.headers),
  }
}

/** Accepts base64 and numbers: servers that do not support base64 send numbers whatever was requested. */
function unitVector(embedding: unknown): Float32Array {
  const vector =
    typeof embedding === 'string'
      ? decodeVector(embedding)
      : Array.isArray(embedding) && embedding.length > 0
        ? Float32Array.from(embedding)
        : undefined
  if (!vector) throw malformed('has an embedding that is not a vector')
  const norm = Math.hypot(...vector)
  if (!(norm > 0) || !Number.isFinite(norm)) throw malformed('has a vector of length zero or infinity')
  // The NIM's documentation does not say whether its vectors have unit length.
  return Math.abs(norm - 1) > 1e-3 ? vector.map((value) => value / norm) : vector
}

/** Follows `x-should-retry`, which servers send to OpenAI's clients, or else the meaning of the HTTP status. */
export function mayRetry({ status, headers }: HttpResponse): boolean {
  const advice = headers.get('x-should-retry')
  if (advice === 'true' || advice === 'false') return advice === 'true'
  return status === 408 || status === 409 || status === 429 || status >= 500
}

/** Seconds that the server asks the client to wait; undefined if it does not say. */
export function retryAfter(headers: Headers): number | undefined {
  const milliseconds = Number.parseFloat(headers.get('retry-after-ms') ?? '')
  if (milliseconds >= 0) return milliseconds / 1000
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const seconds = /^\s*[\d.]+\s*$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined
}

interface ErrorFields {
  message?: unknown
  detail?: unknown
  type?: unknown
  code?: unknown
  param?: unknown
  status_code?: unknown
}

/** Maps an error response to this package's error classes. */
export function parseError(response: HttpResponse): CosmosEmbedError {
  const fields = errorFields(response)
  const status =
    response.status < 400 && typeof fields.status_code === 'number' ? fields.status_code : response.status
  const text = [fields.message, fields.detail].find((field) => typeof field === 'string' && field !== '')
  const request = response.headers.get('x-request-id')
  const details: ErrorDetails = { status, ...(request !== null && { requestId: request }) }
  const index = indexOf(fields.param)
  const message = text === undefined ? `the server answered ${status}` : withoutIndex(text as string, index)
  return errorFor({
    status,
    fields,
    message,
    details,
    index,
    permanent: !mayRetry({ ...response, status }),
    response,
  })
}

interface ParsedError {
  status: number
  fields: ErrorFields
  message: string
  details: ErrorDetails
  index: number | undefined
  permanent: boolean
  response: HttpResponse
}

/** Codes that describe the server's process: taken over, they would blame the client, e.g. for being closed. */
const serverOnlyCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'closed',
  'cancelled',
  'invalid_argument',
  'internal',
  'library',
  'model',
  'remote_failed',
  'remote_rejected',
])

function errorFor({
  status,
  fields,
  message,
  details,
  index,
  permanent,
  response,
}: ParsedError): CosmosEmbedError {
  const { code, type } = fields
  const options = { details, index, permanent }
  if (typeof code === 'string' && Object.hasOwn(errorTable, code) && !serverOnlyCodes.has(code)) {
    const ErrorClass = errorTable[code as ErrorCode].class
    const wait = retryAfter(response.headers)
    return new ErrorClass(message, { ...options, ...(wait !== undefined && { retryAfter: wait }) })
  }
  if (status === 413) return new RequestTooLargeError(message, options)
  if (status === 429)
    return new OverloadedError(message, { ...options, ...retryAfterOption(response.headers) })
  // The NIM sends 400 where NVIDIA's open-source server sends 422.
  if (status === 422 || (status === 400 && type !== 'invalid_json')) {
    return new InvalidRequestError(message, options)
  }
  if (status === 502 && type === 'media_download_error') {
    return new errorTable.download_failed.class(message, options)
  }
  if (status === 503 && !permanent) return new NotReadyError(message, options)
  if (status === 504) return new TimeoutError(message, options)
  return new RemoteError(
    `${message}${message.includes(String(status)) ? '' : ` (status ${status})`}`,
    options,
  )
}

function retryAfterOption(headers: Headers): { retryAfter?: number } {
  const seconds = retryAfter(headers)
  return seconds === undefined ? {} : { retryAfter: seconds }
}

/** Reads `{ error: … }`, which all known servers send, and FastAPI's `{ detail: … }`. */
function errorFields(response: HttpResponse): ErrorFields {
  const body = jsonOf(response)
  const { error } = body ?? {}
  if (typeof error === 'object' && error !== null) return error as ErrorFields
  if (typeof error === 'string') return { message: error }
  const { detail, message } = (body ?? {}) as ErrorFields
  if (!Array.isArray(detail)) return { message, detail }
  const texts = (detail as { msg?: unknown }[])
    .map((each) => each?.msg)
    .filter((text) => typeof text === 'string')
  return { message: texts.join('; ') }
}

function indexOf(param: unknown): number | undefined {
  const [, digits] = /^input\[(\d{1,4})\]$/.exec(typeof param === 'string' ? param : '') ?? []
  return digits === undefined ? undefined : Number(digits)
}

/** Removes the server's `input[i]: ` prefix: the request it counts in may be one that the client made up. */
function withoutIndex(message: string, index: number | undefined): string {
  const prefix = `input[${index}]: `
  return (message.startsWith(prefix) ? message.slice(prefix.length) : message).slice(0, 1000)
}

function jsonOf({ text }: HttpResponse): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function warningsOf(headers: Headers, expected: number): RequestWarning[] {
  const header = headers.get('x-cosmos-embed-warnings')
  if (header === null) return []
  try {
    const warnings = JSON.parse(header) as RequestWarning[]
    return warnings.filter(({ index }) => Number.isInteger(index) && index >= 0 && index < expected)
  } catch {
    // A proxy may have truncated the header; the vectors are intact.
    return []
  }
}

const stageNames = ['download', 'open', 'decode', 'convert', 'queue', 'encode'] as const

function stagesOf(headers: Headers): Partial<Timings> {
  const header = headers.get('server-timing') ?? ''
  const stages: Partial<Timings> = {}
  for (const name of stageNames) {
    const [, milliseconds] = new RegExp(`(?:^|[,\\s])${name};dur=([\\d.]+)`).exec(header) ?? []
    if (milliseconds !== undefined) stages[name] = Number(milliseconds)
  }
  return stages
}

function malformed(what: string): RemoteError {
  return new RemoteError(`the server's response ${what}: is the url that of a Cosmos-Embed server?`, {
    permanent: true,
  })
}
