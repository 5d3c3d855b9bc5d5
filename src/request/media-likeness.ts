/** Detects texts that were probably meant as media: the text vector of a path or URL is useless. */
import { isMediaExtension } from '../base/media-names.ts'

export type Likeness =
  /** A data URI. `shown` is the beginning of the part before its payload. */
  | { kind: 'data'; shown: string }
  /** A URL of any scheme (`https:`, `s3:`, `file:`) whose path ends like the name of a media file. */
  | { kind: 'media_url' }
  /** Any other URL. */
  | { kind: 'url' }
  /** A path or file name with the extension of a media file. */
  | { kind: 'media_path' }

/** Longer texts are neither URLs nor paths. It bounds the search. */
const maxLength = 8192

/**
 * RFC 2397: `data:`, an optional type, optional parameters and a comma. "data: the new oil" is a text because of its space,
 * and so is "data:science,art", because "science" is not a type.
 *
 * Each white-space character can match in one place only, so that a text of semicolons and spaces takes linear time.
 */
const dataUri =
  /^data:(?:[a-z0-9!#$&^_.+-]*\/[^,\s;]*|video|video_frames|image|audio|text|application|base64)?(?:(?:\s*;(?:\s*[^,;\s]+)?)+\s*)?,/i
/** A form of the contract with a mistake in its type or encoding, with or without the comma. */
const dataVideo = /^data:\s*(?:video|video_frames|image|audio)\s*[/;]/i

const scheme = /^[a-z][a-z0-9+.-]*:\/\//i
const extension = /\.([a-z0-9]{1,5})$/i

/** Classifies a text, ignoring white space around it. Undefined for ordinary texts, such as any of several words. */
export function likeness(text: string): Likeness | undefined {
  const head = text.slice(0, maxLength).trimStart()
  if (dataUri.test(head) || dataVideo.test(head)) {
    return { kind: 'data', shown: (head.split(',', 1)[0] ?? '').slice(0, 60) }
  }
  if (text.length > maxLength) return undefined
  const word = head.trimEnd()
  if (scheme.test(word)) {
    if (/\s/.test(word)) return undefined
    return { kind: hasMediaExtension(urlPath(word)) ? 'media_url' : 'url' }
  }
  if (!hasMediaExtension(word)) return undefined
  // A path may contain spaces, but a sentence that ends with a file name is a sentence.
  return !/\s/.test(word) || /^(?:\.{0,2}[/\\]|~[/\\]|[a-z]:[/\\])/i.test(word)
    ? { kind: 'media_path' }
    : undefined
}

function urlPath(url: string): string {
  return url.replace(/[?#].*$/s, '')
}

function hasMediaExtension(path: string): boolean {
  return isMediaExtension(extension.exec(path)?.[1]?.toLowerCase() ?? '')
}
