/** Errors that HTTP adds to those of the library, and the mapping of every error to a response. */
import {
  ClosedError,
  CosmosEmbedError,
  type ErrorCode,
  InternalError,
  InvalidRequestError,
  OverloadedError,
} from '../errors.ts'

interface ErrorMeaning {
  status: number
  type: string
  retryable: boolean
}

export type TransportCode =
  | 'bad_request'
  | 'invalid_json'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'unsupported_media_type'
  | 'headers_too_large'

/** Extends `errorTable` of the library. docs/http.md documents these rows; a test compares them. */
export const transportTable: Readonly<Record<TransportCode, ErrorMeaning>> = {
  bad_request: { status: 400, type: 'invalid_request_error', retryable: false },
  invalid_json: { status: 400, type: 'invalid_json', retryable: false },
  unauthorized: { status: 401, type: 'authentication_error', retryable: false },
  forbidden: { status: 403, type: 'permission_error', retryable: false },
  not_found: { status: 404, type: 'not_found', retryable: false },
  method_not_allowed: { status: 405, type: 'method_not_allowed', retryable: false },
  request_timeout: { status: 408, type: 'timeout', retryable: true },
  unsupported_media_type: { status: 415, type: 'unsupported_media_type', retryable: false },
  headers_too_large: { status: 431, type: 'invalid_request_error', retryable: false },
}

/** A request that is refused before the embedder sees it. */
export class HttpError extends Error {
  readonly code: TransportCode
  readonly headers: Readonly<Record<string, string>>

  constructor(code: TransportCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'HttpError'
    this.code = code
    this.headers = headers
  }
}

/** The server is closing. Retryable, unlike a closed embedder: another server may take the request. */
export class ServerClosingError extends ClosedError {
  override readonly retryable = true

  constructor() {
    super('the server is shutting down')
  }
}

/** Serves clients of the NIM (`detail`, `status_code`) and of OpenAI (`message`, `code`, `param`). */
export interface ErrorBody {
  error: {
    message: string
    detail: string
    type: string
    code: ErrorCode | TransportCode
    param: string | null
    status_code: number
  }
}

export interface ErrorResponse {
  status: number
  /** Whether the server is at fault, so that the error must be logged. */
  internal: boolean
  headers: Record<string, string>
  body: ErrorBody
}

/** Errors whose messages go to the log only. Clients get a generic message. */
const internalCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'internal',
  'library',
  'model',
  'engine',
  'device_lost',
  'out_of_memory',
])

/** Maps anything thrown to a response. An unknown error becomes a 500 without details. */
export function toErrorResponse(error: unknown): ErrorResponse {
  const known = toKnownError(error)
  const { status, type, retryable } = known instanceof HttpError ? transportTable[known.code] : known
  const index = known instanceof CosmosEmbedError ? known.index : undefined
  const message = publicMessage(known, index)
  return {
    status,
    internal: internalCodes.has(known.code),
    headers: {
      'x-should-retry': String(retryable),
      ...(retryable && (status === 429 || status === 503) && { 'retry-after': retryAfter(known) }),
      ...(known instanceof HttpError && known.headers),
    },
    body: {
      error: {
        message,
        detail: message,
        type,
        code: known.code,
        param: index === undefined ? fieldOf(known) : `input[${index}]`,
        status_code: status,
      },
    },
  }
}

/** The field of the body that caused the error. */
function fieldOf(error: CosmosEmbedError | HttpError): string | null {
  const field = error instanceof InvalidRequestError ? error.details.field : undefined
  return typeof field === 'string' ? field : null
}

function toKnownError(error: unknown): CosmosEmbedError | HttpError {
  if (error instanceof CosmosEmbedError || error instanceof HttpError) return error
  return fromFastify(error) ?? new InternalError('unexpected error', { cause: error })
}

/** Errors that Fastify throws itself. */
function fromFastify(error: unknown): HttpError | undefined {
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new HttpError('unsupported_media_type', 'send the body as content-type application/json')
  }
  if (code === 'FST_ERR_BAD_URL')
    return new HttpError('bad_request', 'the path is not valid percent-encoding')
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499) return undefined
  return new HttpError('bad_request', 'the request is not valid HTTP for this route')
}

function publicMessage(error: CosmosEmbedError | HttpError, index: number | undefined): string {
  if (internalCodes.has(error.code)) {
    return `the server could not finish this request (${error.code}); its log says why, under the x-request-id`
  }
  // The messages of the documented rules are part of the contract, so only `param` names the item.
  if (index === undefined || error.code === 'invalid_request') return error.message
  return `input[${index}]: ${error.message}`
}

/** Whole seconds, at least 1. */
function retryAfter(error: unknown): string {
  return String(error instanceof OverloadedError ? Math.max(1, Math.ceil(error.retryAfter)) : 1)
}
