/**
 * `cosmos-embed/client`: an embedder behind HTTP, for `cosmos-embed serve`, NVIDIA's NIM and its open-source server. It
 * needs only `fetch`, so it runs where the addon does not: browsers, edge functions, macOS, Windows, Alpine.
 */

export { type Ranked, rank, similarity, type VectorLike } from '../base/similarity.ts'
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
} from '../errors.ts'
export type {
  ByteStream,
  Bytes,
  CallOptions,
  EmbedManyOptions,
  EmbedOptions,
  EmbedRequest,
  EmbedResponse,
  FramesInput,
  ItemInput,
  ItemOptions,
  LabelScore,
  Picture,
  Progress,
  RgbImage,
  TextInput,
  Video,
  VideoInput,
  Warning,
} from '../types.ts'
export { createClient } from './client.ts'
export type * from './types.ts'
