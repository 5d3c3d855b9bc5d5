/** From a source to what the native side takes: a path to open, or bytes in memory. */
import type { NativeMediaSource, NativeStillImage } from '#binding'
import type { LimitsInput } from './limits.ts'
import type { FrameSource, VideoSource } from './source.ts'
import type { UrlPolicy } from './url-policy.ts'

export interface ResolvedVideo {
  media: NativeMediaSource
  /** Held in memory; 0 for a file, which is read as it is decoded. */
  bytes: number
}

export interface ResolvedFrames {
  images: NativeStillImage[]
  bytes: number
}

export interface SourceOptions {
  urls?: UrlPolicy | undefined
  limits?: LimitsInput | undefined
}

/** One per embedder: it owns the caps on concurrent downloads. Holds nothing open between calls. */
export interface Sources {
  /** Rejects with SourceError, RequestTooLargeError, BlockedUrlError or DownloadError, or with `signal.reason`. */
  video(source: VideoSource, signal?: AbortSignal): Promise<ResolvedVideo>
  /** As {@link Sources.video}, for the pictures of one clip; order kept. */
  frames(sources: readonly FrameSource[], signal?: AbortSignal): Promise<ResolvedFrames>
}

export declare function createSources(options?: SourceOptions): Sources
