/** The documented string forms of an input: plain text, `data:video/…` and `data:video_frames/…`. Nothing is decoded here. */
import { InvalidRequestError } from '../errors.ts'
import { likeness } from './media-likeness.ts'

export type PayloadEncoding = 'base64' | 'presigned_url'

export type InputString =
  | {
      form: 'text'
      text: string
      /** Set where the text may be a slip: it is embedded as the text that it is, and the answer says so. */
      looksLike?: string
    }
  | {
      form: 'video' | 'video_frames'
      /** The `<fmt>` of the string, lower case. Informative: the bytes decide. */
      format: string
      encoding: PayloadEncoding
      /** Base64 texts or URLs: one for `video`, one per frame for `video_frames`. */
      payloads: string[]
    }

/** A parameter as browsers write them: `;charset=utf-8`, `;codecs=vp9,opus` without quotes, `;codecs="avc1, mp4a"`. */
const parameter = '\\s*;\\s*[a-z0-9!#$&^_.+-]+=(?:"[^"]*"|[^;"\\s]*)'
const header = new RegExp(
  `^data:(video|video_frames)/([a-z0-9][a-z0-9.+-]{0,63})(?:${parameter})*\\s*;\\s*(base64|presigned_url),`,
  'i',
)
/** No form has a longer part before its payload; a bound, so that megabytes of base64 are not searched. */
const maxHeaderLength = 512

const knownForms =
  'data:video/<fmt>;base64,… · data:video/<fmt>;presigned_url,<url> · ' +
  'data:video_frames/<fmt>;base64,{…} · data:video_frames/<fmt>;presigned_url,{…}'

/**
 * Reads one input string. `frames` is the number of frames that a `video_frames` list must hold.
 *
 * Blanks around a data URI do not count, as in every URL. A data URI of another kind, and a URL that names a media
 * file, are refused: nobody searches by them, and the vector of their letters would be found by nothing. A file's
 * name may be a caption, which the contract takes, so it is a text with `looksLike`.
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

/** Base64 minds no blanks; a URL has none around it. */
function trimmed(payload: string, encoding: PayloadEncoding): string {
  return encoding === 'base64' ? payload : payload.trim()
}

/**
 * Splits `{a,b,…}`, or `a,b,…` as NVIDIA's open server takes it. A presigned URL may contain commas, so URLs part only
 * where the next one begins; base64 holds neither comma nor brace. (The blanks in front of a comma are trimmed away later:
 * to look for them here would take a time that grows with the square of their number.)
 */
function splitFrames(payload: string, encoding: PayloadEncoding, frames: number): string[] {
  const inside = payload.trim()
  const opens = inside.startsWith('{')
  if (opens !== inside.endsWith('}')) {
    const which = opens ? 'opens a brace that it does not close' : 'closes a brace that it does not open'
    throw new InvalidRequestError(`video_frames input ${which}: expected {frame,frame,…}`)
  }
  const list = opens ? inside.slice(1, -1) : inside
  const separator = encoding === 'base64' ? ',' : /,\s*(?=https?:\/\/)/i
  // One more than wanted tells "too many"; a body full of commas must not become millions of strings.
  const payloads = list.trim() === '' ? [] : list.split(separator, frames + 1)
  if (payloads.length !== frames) {
    throw new InvalidRequestError(`video_frames input must contain exactly ${frames} frames`, {
      details: { found: payloads.length, expected: frames },
    })
  }
  return payloads.map((each) => trimmed(each, encoding))
}
