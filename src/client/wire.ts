/** From an item to the string that the documented interface has for it. */
import { InvalidRequestError } from '../errors.ts'
import { adoptStreams } from '../source/input-streams.ts'
import { isBlob, isBytes, isResponse, isStream, isUrl } from '../source/type-guards.ts'
import type { FramesInput, ItemInput, ItemKind, Picture, Video, VideoInput } from '../types.ts'
import { encodeBase64 } from './base64.ts'
import { type Reading, readMedia, readPicture, remoteUrl } from './media.ts'
import { partOfVideo } from './options.ts'

/** The documented interface has clips of exactly eight frames. */
export const CLIP_FRAMES = 8

/** An item that keeps the rules. */
export interface WireItem {
  kind: ItemKind
  /** Media in the string itself: the interface takes them in a `query`, which has one item. */
  inline: boolean
  /** Reads what is to be inline. Rejects as `readMedia`. */
  write(how: Reading): Promise<string>
  /** Closes what was not read. Idempotent. */
  release(): void
}

export function isFrames(video: Video | FramesInput): video is FramesInput {
  return typeof video === 'object' && Array.isArray((video as Partial<FramesInput> | null)?.frames)
}

/** A string of a request, which is on the wire already. */
export function givenItem(text: string): WireItem {
  const kind = /^\s*data:video_frames\//i.test(text) ? 'frames' : /^\s*data:/i.test(text) ? 'video' : 'text'
  return { kind, inline: false, write: async () => text, release: () => {} }
}

/** Throws InvalidRequestError or LimitError, and closes the item's stream then. */
export function wireItem(input: ItemInput): WireItem {
  const release = adoptStreams(input)
  try {
    return { ...itemOf(input), release }
  } catch (failure) {
    release()
    throw failure
  }
}

function itemOf(input: ItemInput): Omit<WireItem, 'release'> {
  const forms = 'input: must be { text }, { video } or { frames }'
  if (typeof input !== 'object' || input === null) {
    throw new InvalidRequestError(
      typeof input === 'string'
        ? 'input: is a string, which could be a text or a path: pass { text: … } or { video: … }'
        : forms,
    )
  }
  if ('text' in input) {
    checkFields(input, ['text'])
    return textItem(input.text)
  }
  if ('video' in input) {
    checkFields(input, ['video', 'start', 'end', 'frameRule', 'frameTolerance'])
    for (const name of ['start', 'end', 'frameRule', 'frameTolerance'] as const) {
      if (input[name] !== undefined) throw new InvalidRequestError(`input.${name}: ${partOfVideo}`)
    }
    return videoItem(input.video)
  }
  if (!('frames' in input)) throw new InvalidRequestError(forms)
  checkFields(input, ['frames'])
  return framesItem(input.frames)
}

/**
 * A text that begins as a data URI would be taken for media, and its URL be fetched. Servers trim what they call blanks,
 * which is more in Python than here.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python's str.strip() takes them away.
const looksLikeMedia = /^[\s\x00-\x20\x7f-\xa0]*data:/i

function textItem(text: unknown): Omit<WireItem, 'release'> {
  if (typeof text !== 'string') throw new InvalidRequestError('input.text: must be a text')
  if (text.trim() === '') throw new InvalidRequestError('text input must not be empty')
  if (looksLikeMedia.test(text)) {
    throw new InvalidRequestError(
      'input.text: begins with "data:", which the HTTP interface takes for media: embed such a text in process',
    )
  }
  return { kind: 'text', inline: false, write: async () => text }
}

function videoItem(video: VideoInput['video']): Omit<WireItem, 'release'> {
  const url = remoteUrl(video)
  if (url !== undefined) {
    return { kind: 'video', inline: false, write: async () => `data:video/mp4;presigned_url,${url}` }
  }
  checkMedia(video)
  return {
    kind: 'video',
    inline: true,
    write: async (how) =>
      `data:video/mp4;base64,${await encodeBase64(await readMedia(video, how), how.signal)}`,
  }
}

function framesItem(frames: FramesInput['frames']): Omit<WireItem, 'release'> {
  if (!Array.isArray(frames)) throw new InvalidRequestError('input.frames: must be a list of pictures')
  if (frames.length !== CLIP_FRAMES) {
    throw new InvalidRequestError(
      `frames must contain exactly ${CLIP_FRAMES} pictures, found ${frames.length}`,
      {
        details: { found: frames.length, expected: CLIP_FRAMES },
      },
    )
  }
  const pictures: readonly Picture[] = frames
  const urls = pictures.map(remoteUrl).filter((url) => url !== undefined)
  if (urls.length === CLIP_FRAMES) {
    const list = `data:video_frames/jpg;presigned_url,{${urls.join(',')}}`
    return { kind: 'frames', inline: false, write: async () => list }
  }
  if (urls.length > 0) {
    throw new InvalidRequestError(
      'input.frames: some are URLs and some are not: the HTTP interface takes no mixture',
    )
  }
  for (const picture of pictures) {
    if (typeof picture === 'object' && picture !== null && 'width' in picture) continue
    checkMedia(picture)
  }
  return { kind: 'frames', inline: true, write: (how) => writeFrames(pictures, how) }
}

/** The same picture is read once. Together they may be no larger than a video. */
async function writeFrames(pictures: readonly Picture[], how: Reading): Promise<string> {
  const written = new Map<Picture, string>()
  let left = how.maxInlineBytes
  for (const picture of pictures) {
    if (written.has(picture)) continue
    const bytes = await readPicture(picture, { ...how, maxInlineBytes: left })
    left = Math.max(1, left - bytes.length)
    written.set(picture, await encodeBase64(bytes, how.signal))
  }
  const list = pictures.map((picture) => written.get(picture)).join(',')
  return `data:video_frames/jpg;base64,{${list}}`
}

function checkMedia(media: unknown): void {
  if (typeof media === 'string') {
    if (media !== '' && !/^\s*(data:|[a-z][a-z0-9+.-]+:\/\/)/i.test(media)) return
    throw new InvalidRequestError(
      'input: must be a file path: pass a URL as new URL(…), and media in memory as bytes',
    )
  }
  if (isUrl(media) || isBytes(media) || isBlob(media) || isStream(media) || isResponse(media)) return
  throw new InvalidRequestError(
    'input: must be a file path, a URL, bytes, a Blob, a stream of bytes or a Response',
  )
}

function checkFields(input: object, known: readonly string[]): void {
  const field = Object.keys(input).find((name) => name !== 'key' && !known.includes(name))
  if (field !== undefined) throw new InvalidRequestError(`input: unknown field "${field.slice(0, 60)}"`)
}
