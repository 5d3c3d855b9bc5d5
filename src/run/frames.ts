/** Looking at what the model would see, without a model. */
import binding, { type NativeDecodedClip, type NativeDecodeLimits } from '#binding'
import { cores } from '../base/cores.ts'
import { runDecode } from '../base/native-job.ts'
import { checkOptions } from '../base/validate.ts'
import { InternalError } from '../errors.ts'
import { MAX_THREADS } from '../options.ts'
import type { FrameRule } from '../request/frame-rule.ts'
import { parseItem } from '../request/items.ts'
import type { VideoInput } from '../request/schema.ts'
import { copyMedia } from '../source/copy-media.ts'
import { type LimitsInput, limitsSchema } from '../source/limits.ts'
import { createSources } from '../source/sources.ts'
import type { UrlPolicy } from '../source/url-policy.ts'
import type { ExtractedFrames } from '../types.ts'
import { mediaWarnings } from './warnings.ts'

export interface ExtractOptions {
  /** T, 1 to 64. Default 8. */
  frames?: number
  /** R of the squares, 1 to 4096. Default 224. */
  resolution?: number
  /** Seconds from the first displayed frame. Default 0. */
  start?: number
  /** Seconds; default: to the end. */
  end?: number
  /** Which frames. Default `card`. */
  frameRule?: FrameRule
  /** Seconds that a wanted frame may move to a cheaper one. Default 0. */
  frameTolerance?: number
  /** Also the frames at their own size, which are large. Default true. */
  images?: boolean
  /** Which URLs may be fetched. Default `public`. */
  urls?: UrlPolicy
  limits?: LimitsInput
  decodeLimits?: Partial<NativeDecodeLimits>
  signal?: AbortSignal
}

/**
 * The frames that embedding `source` would use.
 * Rejects as `embedVideo` does: SourceError, MediaError, LimitError, TimeoutError, DownloadError, BlockedUrlError,
 * or with `signal.reason`.
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
  const checked = checkOptions(limitsSchema, limits, 'limits')
  const rules = { models: [], frames, limits: checked }
  const item = parseItem({ video: source, start, end, frameRule, frameTolerance }, rules)
  if (item.kind !== 'video') throw new InternalError('a video input became something else')
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
  return extracted(await runDecode(decode, signal ?? new AbortController().signal))
}

/** Takes the clip over. */
export function extracted({ clip, frames, images, report }: NativeDecodedClip): ExtractedFrames {
  const { warnings, openMs: _, waitMs: __, decodeMs: ___, convertMs: ____, ...media } = report
  try {
    return { frames, images: images ?? [], clip: clip.toBytes(), media, warnings: mediaWarnings(warnings) }
  } finally {
    clip.release()
  }
}
