/** Video and text in, unit vectors out. */
export type { AnyEmbedder, Embedded, SettledEmbedded } from './client/types.ts'
export { embed } from './embed.ts'
export { createEmbedder } from './embedder.ts'
export {
  BlockedUrlError,
  CancelledError,
  ClosedError,
  CosmosEmbedError,
  DeviceLostError,
  DownloadError,
  EncryptedMediaError,
  EngineError,
  type ErrorCode,
  type ErrorDetails,
  type ErrorMeaning,
  errorTable,
  InternalError,
  InvalidArgumentError,
  InvalidRequestError,
  LibraryError,
  LimitError,
  MediaError,
  ModelError,
  NotReadyError,
  OutOfMemoryError,
  OverloadedError,
  RemoteError,
  RequestTooLargeError,
  SourceError,
  TimeoutError,
} from './errors.ts'
export type {
  BatchingOptions,
  CudaOptions,
  DecodeOptions,
  EmbedderOptions,
  OnnxRuntimeOptions,
  Precision,
} from './options.ts'
export { type Ranked, rank, similarity, type VectorLike } from './base/similarity.ts'
export type * from './types.ts'
export { VERSION } from './base/version.ts'
