/** Copies of bytes that belong to the caller. */
import type { NativeMediaSource, NativeStillImage } from '#binding'
import { SourceError } from '../errors.ts'

/** Input of the native decoders. */
export type Media = NativeMediaSource | { images: readonly NativeStillImage[] }

/**
 * Copies the bytes of media. Native code reads them on other threads until the job ends, and JavaScript cannot prevent the
 * caller from transferring the buffer meanwhile (`buffer.transfer(0)`, `postMessage`), which would free the memory. To be
 * called right before the job starts, so that only media being decoded is held twice.
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
  // A transferred buffer has length 0.
  if (bytes.byteLength === 0) throw new SourceError('the media holds no bytes, or its buffer was transferred')
  return new Uint8Array(bytes)
}
