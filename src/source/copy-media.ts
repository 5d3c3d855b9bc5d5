/** Bytes that belong to the caller. */
import type { NativeMediaSource, NativeStillImage } from '#binding'
import { SourceError } from '../errors.ts'

/** What the native side decodes. */
export type Media = NativeMediaSource | { images: readonly NativeStillImage[] }

/**
 * The media with bytes of its own. Native code reads them on other threads until the job ends, and a caller that
 * transfers its buffer meanwhile (`buffer.transfer(0)`, `postMessage`) would leave it with memory that was freed:
 * nothing in JavaScript or Node-API can keep a buffer from being transferred. To be called right before the job
 * starts, so that only what is being decoded is held twice.
 */
export function copyMedia<M extends Media>(media: M): M
export function copyMedia(media: Media): Media {
  if ('path' in media) return media
  if ('bytes' in media) return { bytes: copyBytes(media.bytes) }
  return { images: media.images.map(copyImage) }
}

function copyImage(image: NativeStillImage): NativeStillImage {
  return image instanceof Uint8Array ? copyBytes(image) : { ...image, data: copyBytes(image.data) }
}

function copyBytes(bytes: Uint8Array): Uint8Array {
  // A transferred buffer has no bytes left.
  if (bytes.byteLength === 0) throw new SourceError('the media holds no bytes, or its buffer was transferred')
  return new Uint8Array(bytes)
}
