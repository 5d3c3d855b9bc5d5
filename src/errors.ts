/**
 * All error classes, and the table of what each code means over HTTP. A test compares the table with docs/errors.md and with
 * the codes of the native code.
 */
import type { NativeErrorCode } from '#binding'

/** Stable identifiers of errors, for programs. docs/errors.md lists them. */
export type ErrorCode =
  | NativeErrorCode
  | 'invalid_request'
  | 'request_too_large'
  | 'blocked_url'
  | 'download_failed'
  | 'download_rejected'
  | 'overloaded'
  | 'not_ready'
  | 'closed'
  | 'remote_failed'
  | 'remote_rejected'

/** Facts for programs, e.g. `{ found: 65, limit: 64 }`. `field` is the field of the request that is at fault. */
export type ErrorDetails = Readonly<Record<string, string | number>>

export interface CosmosEmbedErrorOptions {
  details?: ErrorDetails
  /** Position in the request of the item that is at fault. */
  index?: number | undefined
  /** The underlying error, for logs. It is never sent to a client. */
  cause?: unknown
}

/**
 * Base class of all errors of this package. A call that its caller's signal aborted rejects with `signal.reason` instead.
 *
 * ```js
 * embedder.embedVideo('clip.mp4').catch((error) => {
 *   if (error instanceof CosmosEmbedError && error.retryable) return tryLater()
 *   throw error
 * })
 * ```
 */
export class CosmosEmbedError extends Error {
  readonly code: ErrorCode
  /** HTTP status of the answer that reports this error. */
  readonly status: number
  /** `error.type` of the HTTP answer that reports this error. */
  readonly type: string
  /** Whether the same call, in the same process, may succeed later. */
  readonly retryable: boolean
  readonly details: ErrorDetails
  /** Position of the item in the request, when one item is at fault. */
  readonly index: number | undefined

  constructor(code: ErrorCode, message: string, options: CosmosEmbedErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    const meaning = errorTable[code]
    this.name = meaning.class.name
    this.code = code
    this.status = meaning.status
    this.type = meaning.type
    this.retryable = meaning.retryable
    this.details = options.details ?? {}
    this.index = options.index
  }
}

/** The request is malformed: a field, a value or a combination of them is not allowed. */
export class InvalidRequestError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('invalid_request', message, options)
  }
}

/** An option or argument is invalid. */
export class InvalidArgumentError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('invalid_argument', message, options)
  }
}

/** The request as a whole holds more bytes of media than could ever be admitted. */
export class RequestTooLargeError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('request_too_large', message, options)
  }
}

/** One input exceeds a limit on bytes, pixels, streams, packets or characters. */
export class LimitError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('limit', message, options)
  }
}

/** The input could not be read: the file is missing or not readable, or the input stream failed. */
export class SourceError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('source', message, options)
  }
}

/** The input was read but holds no video or picture that can be decoded. */
export class MediaError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions, code: 'media' | 'encrypted' = 'media') {
    super(code, message, options)
  }
}

/** The video is encrypted (DRM). This is detected before anything is decoded. */
export class EncryptedMediaError extends MediaError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super(message, options, 'encrypted')
  }
}

/** The `urls` policy of the embedder does not allow the URL. */
export class BlockedUrlError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('blocked_url', message, options)
  }
}

/** A download failed (`download_failed`, retryable) or was refused by its host (`download_rejected`, not retryable). */
export class DownloadError extends CosmosEmbedError {
  constructor(message: string, options: CosmosEmbedErrorOptions & { permanent?: boolean } = {}) {
    super(options.permanent ? 'download_rejected' : 'download_failed', message, options)
  }
}

/** Decoding took longer than `decode.limits.maxWallSeconds`. */
export class TimeoutError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('timeout', message, options)
  }
}

/** The work was cancelled by something other than the caller's signal. */
export class CancelledError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('cancelled', message, options)
  }
}

/** Too much work is in flight to admit a call that does not wait (`whenFull: 'refuse'`), as those of a server. */
export class OverloadedError extends CosmosEmbedError {
  /** Seconds to wait before retrying, ≥ 0. */
  readonly retryAfter: number

  constructor(message: string, options: CosmosEmbedErrorOptions & { retryAfter?: number } = {}) {
    super('overloaded', message, options)
    this.retryAfter = options.retryAfter ?? 1
  }
}

/** The model is still being loaded. */
export class NotReadyError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('not_ready', message, options)
  }
}

/** `dispose` was called on the embedder or client. */
export class ClosedError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('closed', message, options)
  }
}

/**
 * A client's server cannot be reached or sends an unusable answer (`remote_failed`, retryable), or it refuses every request
 * of the client (`remote_rejected`, not retryable). `details.status` is the HTTP status of the answer, if there was one.
 */
export class RemoteError extends CosmosEmbedError {
  constructor(message: string, options: CosmosEmbedErrorOptions & { permanent?: boolean } = {}) {
    super(options.permanent ? 'remote_rejected' : 'remote_failed', message, options)
  }
}

/** A shared library is missing or unusable. */
export class LibraryError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('library', message, options)
  }
}

/** A file of the model bundle is missing, damaged or does not match the others. */
export class ModelError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('model', message, options)
  }
}

/** The engine failed, or its output is not a unit vector. */
export class EngineError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('engine', message, options)
  }
}

/** The GPU failed in a way that this process cannot recover from. */
export class DeviceLostError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('device_lost', message, options)
  }
}

/** Memory of the host or the device is exhausted, or something else that processes share, such as open files or threads. */
export class OutOfMemoryError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('out_of_memory', message, options)
  }
}

/** An invariant was violated: a bug in cosmos-embed. */
export class InternalError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('internal', message, options)
  }
}

/** What an error code means: its class, and how HTTP reports it. */
export interface ErrorMeaning {
  class: new (
    message: string,
    options?: CosmosEmbedErrorOptions & { permanent?: boolean },
  ) => CosmosEmbedError
  status: number
  type: string
  retryable: boolean
  /** What the user can do about it. */
  advice: string
}

/** The meaning of each error code, for code that maps errors to HTTP answers or to other errors. */
export const errorTable: Readonly<Record<ErrorCode, ErrorMeaning>> = {
  invalid_request: {
    class: InvalidRequestError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: 'Change the request as the message says.',
  },
  invalid_argument: {
    class: InvalidArgumentError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: 'Change the option or argument as the message says.',
  },
  request_too_large: {
    class: RequestTooLargeError,
    status: 413,
    type: 'request_too_large',
    retryable: false,
    advice:
      'Send less at once, send URLs instead of inline media, or raise the limit that the message names.',
  },
  limit: {
    class: LimitError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: 'Send smaller media, or raise the limit that the message names.',
  },
  source: {
    class: SourceError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: 'Check that the file exists, is a regular file and can be read by this process.',
  },
  media: {
    class: MediaError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: 'Check that the file plays elsewhere and that its container and codec are supported.',
  },
  encrypted: {
    class: EncryptedMediaError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: "Decrypt the video with its owner's key first, or send a copy without DRM.",
  },
  blocked_url: {
    class: BlockedUrlError,
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    advice: 'Use a public https URL, or have the operator list the host in the `urls` policy.',
  },
  download_failed: {
    class: DownloadError,
    status: 502,
    type: 'media_download_error',
    retryable: true,
    advice: 'Try again: the host did not answer, answered 5xx, or broke off.',
  },
  download_rejected: {
    class: DownloadError,
    status: 502,
    type: 'media_download_error',
    retryable: false,
    advice: 'Make a new presigned URL: the host refused this one, or its answer cannot be used.',
  },
  timeout: {
    class: TimeoutError,
    status: 504,
    type: 'timeout',
    retryable: true,
    advice: 'Send a shorter clip or range, try again under less load, or raise the wall-clock limit.',
  },
  cancelled: {
    class: CancelledError,
    status: 499,
    type: 'cancelled',
    retryable: false,
    advice: 'Nothing to do: the caller no longer waits for the result.',
  },
  overloaded: {
    class: OverloadedError,
    status: 429,
    type: 'overloaded',
    retryable: true,
    advice: 'Wait `retryAfter` seconds and try again, or send less at once.',
  },
  not_ready: {
    class: NotReadyError,
    status: 503,
    type: 'service_unavailable',
    retryable: true,
    advice: 'Wait until the model is loaded.',
  },
  closed: {
    class: ClosedError,
    status: 503,
    type: 'service_unavailable',
    retryable: false,
    advice: 'Create a new embedder, or use another server: this one does not open again.',
  },
  remote_failed: {
    class: RemoteError,
    status: 502,
    type: 'remote_error',
    retryable: true,
    advice:
      'Try again; check that the server runs and that nothing between it and this client answers instead.',
  },
  remote_rejected: {
    class: RemoteError,
    status: 502,
    type: 'remote_error',
    retryable: false,
    advice: 'Check the `url` and the `apiKey` of the client.',
  },
  library: {
    class: LibraryError,
    status: 500,
    type: 'server_error',
    retryable: false,
    advice: 'Install the library that the message names; `cosmos-embed doctor` shows what was found.',
  },
  model: {
    class: ModelError,
    status: 500,
    type: 'server_error',
    retryable: false,
    advice: 'Fetch or export the model bundle again.',
  },
  engine: {
    class: EngineError,
    status: 500,
    type: 'server_error',
    retryable: true,
    advice: 'Try again; if it happens again, report it with the output of `cosmos-embed doctor`.',
  },
  device_lost: {
    class: DeviceLostError,
    status: 503,
    type: 'service_unavailable',
    retryable: false,
    advice: 'Restart the process: the device cannot be used again from this one.',
  },
  out_of_memory: {
    class: OutOfMemoryError,
    status: 503,
    type: 'service_unavailable',
    retryable: true,
    advice: 'Lower the number of items in flight or the batch size, free memory, or raise `ulimit -n`.',
  },
  internal: {
    class: InternalError,
    status: 500,
    type: 'server_error',
    retryable: true,
    advice: 'Report it as a bug, with the message and the output of `cosmos-embed doctor`.',
  },
}
