/**
 * Cosmos-Embed1 as a library: video and text in, unit vectors out.
 *
 * {@link createEmbedder} loads a model, {@link embed} uses a shared one, and {@link rank} compares vectors.
 */

export { type Ranked, rank, similarity, type VectorLike } from './base/similarity.ts'
export { VERSION } from './base/version.ts'
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
  Isolation,
  OnnxRuntimeOptions,
  Precision,
} from './options.ts'
export type * from './types.ts'
