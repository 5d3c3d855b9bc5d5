/** Frameworks pass strings. Which of them are media, the caller has said; what they may name is decided here. */
import { InvalidRequestError } from '../errors.ts'
import type { VideoInput } from '../types.ts'

export interface MediaStringOptions {
  /** Whether a string may be a path or a `file:` URL. */
  files: boolean
}

/**
 * A URL, a `data:` URI with base64, or a path where files are allowed. Throws InvalidRequestError: what a framework
 * passes may come from the users of a website, and they must not choose files of the server.
 */
export function videoFrom(text: string, { files }: MediaStringOptions): VideoInput['video'] {
  const word = text.trim()
  if (/^https?:\/\//i.test(word)) return urlFrom(word)
  const [head] = /^data:[^,]{0,200};base64,/i.exec(word) ?? []
  if (head !== undefined) return bytesFrom(word.slice(head.length))
  if (!files) {
    throw new InvalidRequestError(
      'a video must be an https: URL or a data: URI with base64; to allow paths and file: URLs, pass { files: true } to the ' +
        'adapter',
    )
  }
  return /^file:/i.test(word) ? urlFrom(word) : text
}

function urlFrom(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw new InvalidRequestError('a video is a URL that cannot be read')
  }
}

function bytesFrom(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
  } catch {
    throw new InvalidRequestError('a video is a data: URI whose base64 cannot be read')
  }
}
