/** Looking at what the model would see, without a model. */
import { availableParallelism } from 'node:os'
import binding, { type NativeDecodeLimits, type RgbImage } from '#binding'
import { InternalError } from './errors.ts'
import { fromNative } from './native-failure.ts'
import type { FrameRule } from './request/frame-rule.ts'
import { parseItem } from './request/items.ts'
import type { VideoInput } from './request/schema.ts'
import { copyOf } from './source/borrowed.ts'
import { type LimitsInput, limitsSchema } from './source/limits.ts'
import { createSources } from './source/sources.ts'
import type { UrlPolicy } from './source/url-policy.ts'
import type { FrameInfo, MediaReport } from './types.ts'

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

export interface ExtractedFrames {
  /** T of them, in order; a short video repeats some. */
  frames: FrameInfo[]
  /** As `frames`, at the size of the displayed picture; none with `images: false`. */
  images: RgbImage[]
  /** uint8, planar [T, 3, R, R]: exactly what the model is given. */
  clip: Uint8Array
  media: MediaReport
  warnings: string[]
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
  const rules = { models: [], frames, limits: limitsSchema.parse(limits) }
  const item = await parseItem({ video: source, start, end, frameRule, frameTolerance }, rules, { signal })
  if (item.kind !== 'video') throw new InternalError('a video input became something else')
  const { media, borrowed } = await createSources({ urls, limits }).video(item.source, signal)
  signal?.throwIfAborted()

  const job = binding.decodeClip(borrowed ? copyOf(media) : media, {
    frames,
    height: resolution,
    width: resolution,
    threads: availableParallelism(),
    keepImages: images,
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
    ...(frameRule !== undefined && { frameRule }),
    ...(frameTolerance !== undefined && { frameTolerance }),
    ...(decodeLimits !== undefined && { limits: decodeLimits }),
  })
  const cancel = () => job.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    const decoded = await job.promise
    const { warnings, openMs, waitMs: _, decodeMs, convertMs, ...report } = decoded.report
    const clip = decoded.clip.toBytes()
    decoded.clip.release()
    return { frames: decoded.frames, images: decoded.images ?? [], clip, media: report, warnings }
  } catch (error) {
    throw fromNative(error, { signal })
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}
