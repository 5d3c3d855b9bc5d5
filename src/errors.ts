/**
 * Every error of cosmos-embed, and the one table that says what each means on the wire.
 * docs/errors.md is its readable copy; a test proves that table, documentation and native code agree.
 */
import type { NativeErrorCode } from '#binding'

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

export type ErrorDetails = Readonly<Record<string, string | number>>

export interface CosmosEmbedErrorOptions {
  /** Machine-readable facts: the value, the limit; `field` is the field of the request that is to blame. */
  details?: ErrorDetails
  /** Position of the item in the request. */
  index?: number | undefined
  /** For people reading a log; never sent to a client. */
  cause?: unknown
}

/** Base of all errors thrown by this package. Aborted calls reject with `signal.reason` itself instead. */
export class CosmosEmbedError extends Error {
  readonly code: ErrorCode
  /** HTTP status. */
  readonly status: number
  /** `error.type` of the HTTP answer. */
  readonly type: string
  /** Whether the same call, in the same process, may succeed later. */
  readonly retryable: boolean
  readonly details: ErrorDetails
  /** Position of the item in the request, when one item is to blame. */
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

/** The request breaks the contract: a field, a value or a combination. */
export class InvalidRequestError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('invalid_request', message, options)
  }
}

/** An option or argument that can never work. */
export class InvalidArgumentError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('invalid_argument', message, options)
  }
}

/** A request holds more bytes, all of it together, than could ever be taken. */
export class RequestTooLargeError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('request_too_large', message, options)
  }
}

/** One input is over a limit: bytes, pixels, streams, packets, characters. */
export class LimitError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('limit', message, options)
  }
}

/** The bytes could not be read: no such file, no permission, an input stream that failed. */
export class SourceError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('source', message, options)
  }
}

/** The bytes were read and hold no video or picture that can be decoded. */
export class MediaError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions, code: 'media' | 'encrypted' = 'media') {
    super(code, message, options)
  }
}

/** The video is encrypted (DRM), and this package has no keys. Found before anything is decoded. */
export class EncryptedMediaError extends MediaError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super(message, options, 'encrypted')
  }
}

/** The URL may not be fetched under this embedder's policy. */
export class BlockedUrlError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('blocked_url', message, options)
  }
}

/** A download that failed (`download_failed`, worth a retry) or was refused upstream (`download_rejected`, not). */
export class DownloadError extends CosmosEmbedError {
  constructor(message: string, options: CosmosEmbedErrorOptions & { permanent?: boolean } = {}) {
    super(options.permanent ? 'download_rejected' : 'download_failed', message, options)
  }
}

/** Decoding took longer than the wall-clock limit. */
export class TimeoutError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('timeout', message, options)
  }
}

/** The work was cancelled, and not by the caller's own signal. */
export class CancelledError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('cancelled', message, options)
  }
}

/** Too much work is already admitted. */
export class OverloadedError extends CosmosEmbedError {
  /** Seconds to wait before trying again, ≥ 0. */
  readonly retryAfter: number

  constructor(message: string, options: CosmosEmbedErrorOptions & { retryAfter?: number } = {}) {
    super('overloaded', message, options)
    this.retryAfter = options.retryAfter ?? 1
  }
}

/** The model is not loaded yet. */
export class NotReadyError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('not_ready', message, options)
  }
}

/** The embedder is closing or closed. */
export class ClosedError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('closed', message, options)
  }
}

/**
 * Of a client: the server cannot be reached or answers what is no answer (`remote_failed`, worth a retry), or it refuses
 * the client, whatever is asked (`remote_rejected`, not). `details.status` is what it answered with.
 */
export class RemoteError extends CosmosEmbedError {
  constructor(message: string, options: CosmosEmbedErrorOptions & { permanent?: boolean } = {}) {
    super(options.permanent ? 'remote_rejected' : 'remote_failed', message, options)
  }
}

/** A run-time library is missing or unusable. */
export class LibraryError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('library', message, options)
  }
}

/** The model bundle's files or signature are not what was expected. */
export class ModelError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('model', message, options)
  }
}

/** The engine failed while running, or its output is not a unit vector. */
export class EngineError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('engine', message, options)
  }
}

/** The device is gone for this process. */
export class DeviceLostError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('device_lost', message, options)
  }
}

/** Host or device memory ran out. */
export class OutOfMemoryError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('out_of_memory', message, options)
  }
}

/** A broken invariant: a bug in cosmos-embed. */
export class InternalError extends CosmosEmbedError {
  constructor(message: string, options?: CosmosEmbedErrorOptions) {
    super('internal', message, options)
  }
}

export interface ErrorMeaning {
  class: new (
    message: string,
    options?: CosmosEmbedErrorOptions & { permanent?: boolean },
  ) => CosmosEmbedError
  status: number
  type: string
  retryable: boolean
  /** What to do about it, when the message does not say. */
  advice: string
}

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
    advice: 'Decrypt the video with the key of its owner first, or send a copy without DRM.',
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
    advice: 'Nothing to do: whoever waited for the result gave up.',
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
    advice: 'Make a new embedder, or use another server: this one does not open again.',
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
    advice: 'Try again; if it returns, report it with the output of `cosmos-embed doctor`.',
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
    advice: 'Lower the number of items in flight or the batch size, or free memory.',
  },
  internal: {
    class: InternalError,
    status: 500,
    type: 'server_error',
    retryable: true,
    advice: 'Report it as a bug, with the message and the output of `cosmos-embed doctor`.',
  },
}
