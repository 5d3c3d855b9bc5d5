/** What servers answer with: ours, the NIM, NVIDIA's open one, and whatever stands in front of them. */
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
  /** `index` is that in the request. */
  warnings: RequestWarning[]
  stages: Partial<Timings>
}

/** Throws RemoteError, or what the body says where it is an error all the same. */
export function parseVectors(answer: HttpResponse, expected: number): BatchVectors {
  const body = jsonOf(answer)
  // NVIDIA's services are known to put an error into a 200.
  if (body?.error !== undefined) throw parseError(answer)
  const { data, model, usage } = (body ?? {}) as {
    data?: unknown
    model?: unknown
    usage?: Partial<Usage>
  }
  if (!Array.isArray(data)) throw malformed('is no list of vectors')
  if (data.length !== expected) throw malformed(`has ${data.length} vectors for ${expected} inputs`)
  const vectors: Float32Array[] = []
  for (const [place, one] of data.entries()) {
    const { index = place, embedding } = (one ?? {}) as { index?: unknown; embedding?: unknown }
    if (!Number.isInteger(index) || (index as number) >= expected || vectors[index as number]) {
      throw malformed('has vectors whose index is not that of an input')
    }
    vectors[index as number] = unitVector(embedding)
  }
  if (vectors.some(({ length }) => length !== vectors[0]?.length))
    throw malformed('has vectors of several lengths')
  const count = (value: unknown) => (typeof value === 'number' ? value : 0)
  return {
    vectors,
    model: typeof model === 'string' ? model : '',
    usage: {
      num_videos: count(usage?.num_videos),
      prompt_tokens: count(usage?.prompt_tokens),
      total_tokens: count(usage?.total_tokens),
    },
    warnings: warningsOf(answer.headers, expected),
    stages: stagesOf(answer.headers),
  }
}

/** A server that knows no base64 sends numbers. */
function unitVector(embedding: unknown): Float32Array {
  const vector =
    typeof embedding === 'string'
      ? decodeVector(embedding)
      : Array.isArray(embedding) && embedding.length > 0
        ? Float32Array.from(embedding)
        : undefined
  if (!vector) throw malformed('has something other than a vector')
  const norm = Math.hypot(...vector)
  if (!(norm > 0) || !Number.isFinite(norm)) throw malformed('has a vector without a direction')
  // Of the NIM it is not published whether its vectors have unit length.
  return Math.abs(norm - 1) > 1e-3 ? vector.map((value) => value / norm) : vector
}

/** The rules that servers announce to clients of OpenAI, and else those of HTTP. */
export function mayRetry({ status, headers }: HttpResponse): boolean {
  const told = headers.get('x-should-retry')
  if (told === 'true' || told === 'false') return told === 'true'
  return status === 408 || status === 409 || status === 429 || status >= 500
}

/** Seconds that the server asks to wait. */
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

/** What a server's refusal means, by the classes of this package. */
export function parseError(answer: HttpResponse): CosmosEmbedError {
  const fields = errorFields(answer)
  const status =
    answer.status < 400 && typeof fields.status_code === 'number' ? fields.status_code : answer.status
  const said = [fields.message, fields.detail].find((text) => typeof text === 'string' && text !== '')
  const request = answer.headers.get('x-request-id')
  const details: ErrorDetails = { status, ...(request !== null && { requestId: request }) }
  const index = indexOf(fields.param)
  const message = said === undefined ? `the server answered ${status}` : withoutIndex(said as string, index)
  return errorFor({
    status,
    fields,
    message,
    details,
    index,
    permanent: !mayRetry({ ...answer, status }),
    answer,
  })
}

interface Refusal {
  status: number
  fields: ErrorFields
  message: string
  details: ErrorDetails
  index: number | undefined
  permanent: boolean
  answer: HttpResponse
}

/** These speak of the server's process, and would say of the client that it is closed, or has a bug. */
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

function errorFor({ status, fields, message, details, index, permanent, answer }: Refusal): CosmosEmbedError {
  const { code, type } = fields
  const options = { details, index, permanent }
  if (typeof code === 'string' && Object.hasOwn(errorTable, code) && !serverOnlyCodes.has(code)) {
    const ErrorClass = errorTable[code as ErrorCode].class
    const wait = retryAfter(answer.headers)
    return new ErrorClass(message, { ...options, ...(wait !== undefined && { retryAfter: wait }) })
  }
  if (status === 413) return new RequestTooLargeError(message, options)
  if (status === 429) return new OverloadedError(message, { ...options, ...retryAfterOption(answer.headers) })
  // The NIM answers 400 where the open server answers 422; of those that others send a type says so.
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

/** `{ error: … }` of all that are known, and FastAPI's `{ detail: … }`. */
function errorFields(answer: HttpResponse): ErrorFields {
  const body = jsonOf(answer)
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

/** The place in a request that the caller may never have seen. */
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
    // A proxy may have cut it; the vectors are whole.
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
  return new RemoteError(`the server's answer ${what}: is the url that of a Cosmos-Embed server?`, {
    permanent: true,
  })
}
