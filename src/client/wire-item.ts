/** Turns an item into the string that stands for it in the HTTP interface. */
import { InvalidRequestError } from '../errors.ts'
import { adoptStreams } from '../source/input-streams.ts'
import { isBlob, isBytes, isResponse, isStream, isUrl } from '../source/type-guards.ts'
import type { FramesInput, ItemInput, ItemKind, Picture, Video, VideoInput } from '../types.ts'
import { encodeBase64 } from './base64.ts'
import { type ReadOptions, readMedia, readPicture, remoteUrl } from './media.ts'
import { inProcessOnly } from './options.ts'

/** The HTTP interface accepts clips of exactly eight frames. */
export const CLIP_FRAMES = 8

/** A checked item. */
export interface WireItem {
  kind: ItemKind
  /** Whether the string contains the media: the interface accepts those only in a `query` of one item. */
  inline: boolean
  /** Reads inline media and returns the string. Rejects as `readMedia` does. */
  write(options: ReadOptions): Promise<string>
  /** Closes streams that were not read. Idempotent. */
  release(): void
}

export function isFrames(video: Video | FramesInput): video is FramesInput {
  return typeof video === 'object' && Array.isArray((video as Partial<FramesInput> | null)?.frames)
}

/** A string of a documented request, sent as it is. */
export function rawItem(text: string): WireItem {
  const kind = /^\s*data:video_frames\//i.test(text) ? 'frames' : /^\s*data:/i.test(text) ? 'video' : 'text'
  return { kind, inline: false, write: async () => text, release: () => {} }
}

/** Checks an item. Throws InvalidRequestError or LimitError after closing the item's stream. */
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
      if (input[name] !== undefined) throw new InvalidRequestError(`input.${name}: ${inProcessOnly}`)
    }
    return videoItem(input.video)
  }
  if (!('frames' in input)) throw new InvalidRequestError(forms)
  checkFields(input, ['frames'])
  return framesItem(input.frames)
}

/**
 * A server would take a text that begins like a data URI for media, and fetch its URL. Servers trim the text first, and
 * Python trims more characters than JavaScript.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python's str.strip() removes them.
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
    write: async (options) =>
      `data:video/mp4;base64,${await encodeBase64(await readMedia(video, options), options.signal)}`,
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
  return { kind: 'frames', inline: true, write: (options) => writeFrames(pictures, options) }
}

/** Reads repeated pictures once. All pictures together may be no larger than one video. */
async function writeFrames(pictures: readonly Picture[], options: ReadOptions): Promise<string> {
  const written = new Map<Picture, string>()
  let left = options.maxInlineBytes
  for (const picture of pictures) {
    if (written.has(picture)) continue
    const bytes = await readPicture(picture, { ...options, maxInlineBytes: left })
    left = Math.max(1, left - bytes.length)
    written.set(picture, await encodeBase64(bytes, options.signal))
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
