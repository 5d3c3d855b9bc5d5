/** Reads strings that frameworks pass for videos, and decides what such a string may refer to. */
import { InvalidRequestError } from '../errors.ts'
import type { VideoInput } from '../types.ts'

export interface MediaStringOptions {
  /** Whether a string may be a path or a `file:` URL. */
  files: boolean
}

/**
 * Reads a URL, a base64 `data:` URI or, if `files` allows it, a path. Throws InvalidRequestError for anything else: the
 * strings may come from users of a website, who must not choose files of the server.
 */
export function videoFrom(text: string, { files }: MediaStringOptions): VideoInput['video'] {
  const trimmed = text.trim()
  if (/^https?:\/\//i.test(trimmed)) return urlFrom(trimmed)
  const [head] = /^data:[^,]{0,200};base64,/i.exec(trimmed) ?? []
  if (head !== undefined) return bytesFrom(trimmed.slice(head.length))
  if (!files) {
    throw new InvalidRequestError(
      'a video must be an https: URL or a data: URI with base64; to allow paths and file: URLs, pass { files: true } to the ' +
        'adapter',
    )
  }
  return /^file:/i.test(trimmed) ? urlFrom(trimmed) : text
}

function urlFrom(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw new InvalidRequestError('a video is an invalid URL')
  }
}

function bytesFrom(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
  } catch {
    throw new InvalidRequestError('a video is a data: URI with invalid base64')
  }
}
