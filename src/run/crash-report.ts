/** Tells which file ended a decoder process, so that an operator can find and report it. */
import { createHash, webcrypto } from 'node:crypto'
import { createReadStream } from 'node:fs'
import process from 'node:process'
import { CosmosEmbedError, errorTable } from '../errors.ts'
import type { Media } from '../source/copy-media.ts'

/**
 * Passes a decode through. If it rejects because its decoder process ended, emits a warning with the SHA-256 of the media
 * and adds it to the error's details as `sha256`. Pictures are hashed one after the other.
 */
export async function reportCrash<T>(decode: Promise<T>, media: Media): Promise<T> {
  try {
    return await decode
  } catch (error) {
    const ending = error instanceof CosmosEmbedError ? error.details.decoderEnded : undefined
    if (ending === undefined) throw error
    const { message, code, index, details } = error as CosmosEmbedError
    const sha256 = await hashOf(media)
    process.emitWarning(`${message}; the SHA-256 of the media is ${sha256 ?? 'unknown'}`, {
      type: 'CosmosEmbedWarning',
      code: 'COSMOS_EMBED_DECODER_ENDED',
    })
    const known = sha256 === undefined ? details : { ...details, sha256 }
    throw new errorTable[code].class(message, { index, details: known, cause: error })
  }
}

/** Resolves to undefined if the media cannot be read any more. */
async function hashOf(media: Media): Promise<string | undefined> {
  try {
    if ('path' in media) {
      const hash = createHash('sha256')
      for await (const piece of createReadStream(media.path)) hash.update(piece)
      return hash.digest('hex')
    }
    const parts = 'bytes' in media ? [media.bytes] : media.images.map(bytesOf)
    if (parts.length === 1 && parts[0]) {
      // On a thread of libuv's pool: a large input would stall the event loop.
      const digest = await webcrypto.subtle.digest('SHA-256', parts[0] as Uint8Array<ArrayBuffer>)
      return Buffer.from(digest).toString('hex')
    }
    const hash = createHash('sha256')
    for (const part of parts) {
      hash.update(part)
      await new Promise(setImmediate)
    }
    return hash.digest('hex')
  } catch {
    return undefined
  }
}

function bytesOf(image: Uint8Array | { data: Uint8Array }): Uint8Array {
  return image instanceof Uint8Array ? image : image.data
}
