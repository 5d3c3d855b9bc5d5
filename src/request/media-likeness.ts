/** Whether a text looks like media that somebody meant to have embedded: a path that becomes a text vector helps nobody. */
import { isMediaExtension } from '../base/media-names.ts'

export type Likeness =
  /** A data URI. `shown` is its part before the payload, cut short. */
  | { kind: 'data'; shown: string }
  /** The URL of a file that is named like media, under any scheme: `https:`, `s3:`, `file:`. */
  | { kind: 'media_url' }
  /** Any other URL. */
  | { kind: 'url' }
  /** A path, or a bare name, with the extension of media. */
  | { kind: 'media_path' }

/** Nothing that is longer is a URL or a path; a bound, so that a long text is not searched. */
const maxLength = 8192

/**
 * `data:`, perhaps a type, perhaps parameters, a comma: RFC 2397. "data: the new oil" has a blank instead and is a
 * text, and so is "data:science,art", where what stands before the comma is no type.
 *
 * No blank can belong to two places of it: a text of semicolons and blanks would take for ever otherwise.
 */
const dataUri =
  /^data:(?:[a-z0-9!#$&^_.+-]*\/[^,\s;]*|video|video_frames|image|audio|text|application|base64)?(?:(?:\s*;(?:\s*[^,;\s]+)?)+\s*)?,/i
/** Written as a form of the contract but for a slip in its type or its encoding, with or without the comma. */
const dataVideo = /^data:\s*(?:video|video_frames|image|audio)\s*[/;]/i

const scheme = /^[a-z][a-z0-9+.-]*:\/\//i
const extension = /\.([a-z0-9]{1,5})$/i

/** Blanks around the text do not count; more than one word is a text, and so is what is like nothing here. */
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
  // A path may hold blanks; a sentence that ends in a file's name is a sentence.
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
