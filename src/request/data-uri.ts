/** The documented string forms of an input: plain text, `data:video/…` and `data:video_frames/…`. Nothing is decoded here. */
import { InvalidRequestError } from '../errors.ts'

export type PayloadEncoding = 'base64' | 'presigned_url'

export type InputString =
  | { form: 'text'; text: string }
  | {
      form: 'video' | 'video_frames'
      /** The `<fmt>` of the string, lower case. Informative: the bytes decide. */
      format: string
      encoding: PayloadEncoding
      /** Base64 texts or URLs: one for `video`, one per frame for `video_frames`. */
      payloads: string[]
    }

const header = /^data:(video|video_frames)\/([a-z0-9][a-z0-9.+-]{0,63});(base64|presigned_url),/i
const looksLikeVideo = /^data:video(_frames)?\//i
const looksLikeOtherMedia = /^data:[a-z0-9_.+-]+\/[^,\s]{0,100};(base64|presigned_url),/i
/** No form has a longer part before its payload; a bound, so that megabytes of base64 are not searched. */
const maxHeaderLength = 128

const knownForms =
  'data:video/<fmt>;base64,… · data:video/<fmt>;presigned_url,<url> · ' +
  'data:video_frames/<fmt>;base64,{…} · data:video_frames/<fmt>;presigned_url,{…}'

/**
 * Reads one input string. `frames` is the number of frames that a `video_frames` list must hold.
 * Throws InvalidRequestError.
 */
export function parseInputString(input: string, frames: number): InputString {
  const head = input.slice(0, maxHeaderLength)
  const match = header.exec(head)
  if (!match) {
    if (!looksLikeVideo.test(head) && !looksLikeOtherMedia.test(head)) return { form: 'text', text: input }
    const shown = head.split(',', 1)[0]?.slice(0, 60)
    throw new InvalidRequestError(`input starts with "${shown}", which is none of the forms ${knownForms}`)
  }
  const [prefix, kind, format, encoding] = match as unknown as [string, string, string, string]
  const form = kind.toLowerCase() as 'video' | 'video_frames'
  const payload = input.slice(prefix.length)
  const parsed = { form, format: format.toLowerCase(), encoding: encoding.toLowerCase() as PayloadEncoding }
  if (form === 'video') return { ...parsed, payloads: [payload] }
  return { ...parsed, payloads: splitFrames(payload, parsed.encoding, frames) }
}

/**
 * Splits `{a,b,…}`. A presigned URL may contain commas, so URLs part only where the next one begins;
 * base64 holds neither comma nor brace.
 */
function splitFrames(payload: string, encoding: PayloadEncoding, frames: number): string[] {
  if (!payload.startsWith('{') || !payload.endsWith('}')) {
    throw new InvalidRequestError('video_frames input must list its frames in braces: {frame,frame,…}')
  }
  const list = payload.slice(1, -1)
  const separator = encoding === 'base64' ? ',' : /,\s*(?=https?:\/\/)/i
  // One more than wanted tells "too many"; a body full of commas must not become millions of strings.
  const payloads = list === '' ? [] : list.split(separator, frames + 1)
  if (payloads.length !== frames) {
    throw new InvalidRequestError(`video_frames input must contain exactly ${frames} frames`, {
      details: { found: payloads.length, expected: frames },
    })
  }
  return payloads
}
