import type { NativeDecodedClip } from '#binding'
import type { ExtractedFrames } from '../types.ts'
import { mediaWarnings } from './warnings.ts'

/** Turns a decoded clip into the public result of `frames`. Takes ownership of the clip and releases it. */
export function toExtractedFrames({ clip, frames, images, report }: NativeDecodedClip): ExtractedFrames {
  const { warnings, openMs: _, waitMs: __, decodeMs: ___, convertMs: ____, ...media } = report
  try {
    return { frames, images: images ?? [], clip: clip.toBytes(), media, warnings: mediaWarnings(warnings) }
  } finally {
    clip.release()
  }
}
