/** Extracts the frames of a video that a model would be given, without loading a model. */
import binding, { type NativeDecodeLimits } from '#binding'
import { cores } from '../base/cores.ts'
import { runDecode } from '../base/native-job.ts'
import { InternalError } from '../errors.ts'
import { DEFAULT_WALL_SECONDS, MAX_THREADS } from '../options.ts'
import type { FrameRule } from '../request/frame-rule.ts'
import { parseItem } from '../request/items.ts'
import type { VideoInput } from '../request/schema.ts'
import { copyMedia } from '../source/copy-media.ts'
import { checkLimits, type LimitsInput } from '../source/limits.ts'
import { createSources } from '../source/sources.ts'
import type { UrlPolicy } from '../source/url-policy.ts'
import type { ExtractedFrames } from '../types.ts'
import { toExtractedFrames } from './extracted-frames.ts'

export interface ExtractOptions {
  /** Frames of the clip, 1 to 64. Default 8. */
  frames?: number
  /** Height and width of the clip in pixels, 1 to 4096. Default 224. */
  resolution?: number
  /** Seconds from the first displayed frame, ≥ 0. Default 0. */
  start?: number
  /** Seconds from the first displayed frame, > `start`. Default: the end of the video. */
  end?: number
  /** Which frames to choose. Default `card`. */
  frameRule?: FrameRule
  /** Seconds by which a chosen frame may move to one that is cheaper to decode, ≥ 0. Default 0. */
  frameTolerance?: number
  /** Whether to also return the frames at the displayed size of the video, which takes much memory. Default true. */
  images?: boolean
  /** Which URLs may be fetched. Default `public`. */
  urls?: UrlPolicy
  limits?: LimitsInput
  decodeLimits?: Partial<NativeDecodeLimits>
  signal?: AbortSignal
}

/**
 * Returns the frames that embedding `source` with these options would use. Rejects as `embedVideo` does: with SourceError,
 * MediaError, LimitError, TimeoutError, DownloadError, BlockedUrlError or `signal.reason`.
 */
export async function extractFrames(
  source: VideoInput['video'],
  options: ExtractOptions = {},
): Promise<ExtractedFrames> {
  const {
    frames = 8,
    resolution = 224,
    start,
    end,
    frameRule,
    frameTolerance,
    images = true,
    urls,
    limits,
    decodeLimits,
    signal,
  } = options
  const checked = checkLimits(limits)
  const rules = { models: [], frames, limits: checked }
  const item = parseItem({ video: source, start, end, frameRule, frameTolerance }, rules)
  if (item.kind !== 'video')
    throw new InternalError('a video input was parsed as another kind: this is a bug')
  const { media, borrowed } = await createSources({ urls, limits }).video(item.source, { signal })
  const decode = () =>
    binding.decodeClip(borrowed ? copyMedia(media) : media, {
      frames,
      height: resolution,
      width: resolution,
      threads: Math.min(cores, MAX_THREADS),
      keepImages: images,
      ...(start !== undefined && { start }),
      ...(end !== undefined && { end }),
      ...(frameRule !== undefined && { frameRule }),
      ...(frameTolerance !== undefined && { frameTolerance }),
      ...(decodeLimits !== undefined && { limits: decodeLimits }),
    })
  const { maxWallSeconds: maxSeconds = DEFAULT_WALL_SECONDS } = decodeLimits ?? {}
  return toExtractedFrames(await runDecode(decode, signal ?? new AbortController().signal, { maxSeconds }))
}
