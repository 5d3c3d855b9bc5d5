/** Parses the documented string forms of an input: text, `data:video/…` and `data:video_frames/…`. Payloads stay encoded. */
import { InvalidRequestError } from '../errors.ts'
import { likeness } from './media-likeness.ts'

export type PayloadEncoding = 'base64' | 'presigned_url'

export type InputString =
  | {
      form: 'text'
      text: string
      /** What the text may have been meant as, e.g. "a URL". It is embedded as text, with a warning. */
      looksLike?: string
    }
  | {
      form: 'video' | 'video_frames'
      /** The `<fmt>` of the string in lower case. Informative only, because the content decides. */
      format: string
      encoding: PayloadEncoding
      /** Base64 texts or URLs: one for `video`, one per frame for `video_frames`. */
      payloads: string[]
    }

/** A parameter as browsers write it: `;charset=utf-8`, `;codecs=vp9,opus` without quotes, `;codecs="avc1, mp4a"`. */
const parameter = '\\s*;\\s*[a-z0-9!#$&^_.+-]+=(?:"[^"]*"|[^;"\\s]*)'
const header = new RegExp(
  `^data:(video|video_frames)/([a-z0-9][a-z0-9.+-]{0,63})(?:${parameter})*\\s*;\\s*(base64|presigned_url),`,
  'i',
)
/** Longest part before a payload. It bounds the search, so that megabytes of base64 are not scanned. */
const maxHeaderLength = 512

const knownForms =
  'data:video/<fmt>;base64,… · data:video/<fmt>;presigned_url,<url> · ' +
  'data:video_frames/<fmt>;base64,{…} · data:video_frames/<fmt>;presigned_url,{…}'

/**
 * Parses one input string. `frames` is the number of frames that a `video_frames` list must hold.
 *
 * White space around a data URI is ignored. Data URIs of other kinds, and URLs that name a media file, are refused, because
 * the vector of their characters would be useless. A file name may be a caption, which the contract accepts, so it is a text
 * with `looksLike`.
 *
 * Throws InvalidRequestError.
 */
export function parseInputString(input: string, frames: number): InputString {
  const start = Math.max(0, input.search(/\S/))
  const head = input.slice(start, start + maxHeaderLength)
  const match = header.exec(head)
  if (!match) return textOf(input)
  const [prefix, kind, format, encoding] = match as unknown as [string, string, string, string]
  const form = kind.toLowerCase() as 'video' | 'video_frames'
  const payload = input.slice(start + prefix.length)
  const parsed = { form, format: format.toLowerCase(), encoding: encoding.toLowerCase() as PayloadEncoding }
  if (form === 'video') return { ...parsed, payloads: [trimmed(payload, parsed.encoding)] }
  return { ...parsed, payloads: splitFrames(payload, parsed.encoding, frames) }
}

function textOf(text: string): InputString {
  const found = likeness(text)
  switch (found?.kind) {
    case undefined:
      return { form: 'text', text }
    case 'data':
      throw new InvalidRequestError(
        `input starts with "${found.shown}", which is none of the forms ${knownForms}`,
      )
    case 'media_url':
      throw new InvalidRequestError(
        'input is the URL of a media file, not a text: to embed the file, send data:video/<fmt>;presigned_url,<url>',
      )
    case 'url':
    case 'media_path':
      return { form: 'text', text, looksLike: found.kind === 'url' ? 'a URL' : 'the name of a media file' }
  }
}

/** Base64 decoding ignores white space; a URL must not have any around it. */
function trimmed(payload: string, encoding: PayloadEncoding): string {
  return encoding === 'base64' ? payload : payload.trim()
}

/**
 * Splits `{a,b,…}`, or `a,b,…` as NVIDIA's open server accepts it. A presigned URL may contain commas, so URLs are split only
 * where another URL begins; base64 contains neither commas nor braces. White space before a comma is trimmed later, because
 * matching it here would take quadratic time.
 */
function splitFrames(payload: string, encoding: PayloadEncoding, frames: number): string[] {
  const trimmedPayload = payload.trim()
  const opens = trimmedPayload.startsWith('{')
  if (opens !== trimmedPayload.endsWith('}')) {
    const which = opens ? 'opens a brace that it does not close' : 'closes a brace that it does not open'
    throw new InvalidRequestError(`video_frames input ${which}: expected {frame,frame,…}`)
  }
  const list = opens ? trimmedPayload.slice(1, -1) : trimmedPayload
  const separator = encoding === 'base64' ? ',' : /,\s*(?=https?:\/\/)/i
  // The limit of one more than needed detects too many frames without creating millions of strings.
  const payloads = list.trim() === '' ? [] : list.split(separator, frames + 1)
  if (payloads.length !== frames) {
    throw new InvalidRequestError(`video_frames input must contain exactly ${frames} frames`, {
      details: { found: payloads.length, expected: frames },
    })
  }
  return payloads.map((each) => trimmed(each, encoding))
}
