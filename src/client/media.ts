/** Media as bytes: what goes inline into a request. Read when the request's turn comes, and no sooner. */
import { abortable } from '../base/abort.ts'
import { CosmosEmbedError, InvalidRequestError, LimitError, SourceError } from '../errors.ts'
import { asUint8Array, isBlob, isBytes, isResponse, isUrl, isWebStream } from '../source/type-guards.ts'
import type { Picture, VideoInput } from '../types.ts'
import { encodePng, joined } from './png.ts'

export interface Reading {
  maxInlineBytes: number
  signal: AbortSignal
}

/** Rejects with SourceError, LimitError, InvalidRequestError or `signal.reason`. */
export async function readMedia(media: VideoInput['video'], how: Reading): Promise<Uint8Array> {
  how.signal.throwIfAborted()
  try {
    const bytes = await bytesOf(media, how)
    if (bytes.length === 0) throw new SourceError('the media is empty')
    return bytes
  } catch (failure) {
    how.signal.throwIfAborted()
    if (failure instanceof CosmosEmbedError) throw failure
    throw new SourceError('the media could not be read', { cause: failure })
  }
}

/** The same of a picture; raw pixels become a PNG. */
export async function readPicture(picture: Picture, how: Reading): Promise<Uint8Array> {
  if (!isPixels(picture)) return readMedia(picture, how)
  const { width, height, data } = picture
  const sides = [width, height].every((side) => Number.isInteger(side) && side > 0)
  if (!sides || !isBytes(data) || data.byteLength !== 3 * width * height) {
    throw new InvalidRequestError('a picture of raw pixels must hold 3 * width * height bytes of RGB in data')
  }
  checkSize(data.byteLength, how)
  return encodePng({ width, height, data: asUint8Array(data) })
}

function isPixels(picture: Picture): picture is Extract<Picture, { width: number }> {
  return typeof picture === 'object' && picture !== null && 'width' in picture && 'data' in picture
}

async function bytesOf(media: VideoInput['video'], how: Reading): Promise<Uint8Array> {
  if (typeof media === 'string' || isUrl(media)) return readFile(media, how)
  if (isBytes(media)) return checkSize(media.byteLength, how, asUint8Array(media))
  if (isResponse(media)) return readStream(bodyOf(media), how)
  if (isBlob(media)) {
    checkSize(media.size, how)
    return new Uint8Array(await abortable(media.arrayBuffer(), how.signal))
  }
  return readStream(media, how)
}

function bodyOf(response: Response): ReadableStream<Uint8Array> {
  if (!response.ok) throw new SourceError(`the response has status ${response.status}: expected media`)
  if (response.bodyUsed) throw new SourceError('the body of the response has been read already')
  if (response.body === null) throw new SourceError('the response has no body')
  return response.body
}

async function readStream(
  stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  how: Reading,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of chunksOf(stream, how.signal)) {
    if (!isBytes(part)) throw new SourceError('the stream brings something other than bytes')
    length += part.byteLength
    checkSize(length, how)
    parts.push(asUint8Array(part))
  }
  return joined(parts)
}

/** By its reader: not every browser can iterate a web stream. */
async function* chunksOf(
  stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const web = isWebStream(stream) ? stream.getReader() : undefined
  const iterator = web ? undefined : (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  let ended = false
  try {
    for (;;) {
      const next = web ? web.read() : (iterator as AsyncIterator<Uint8Array>).next()
      const { done, value } = await abortable(Promise.resolve(next), signal)
      ended = done === true
      if (ended) return
      yield value as Uint8Array
    }
  } finally {
    // Not awaited: where the source hangs, so does its end.
    if (!ended) void (async () => (web ? web.cancel() : iterator?.return?.()))().catch(() => {})
  }
}

interface NodeModules {
  getBuiltinModule?(name: 'node:fs/promises'): typeof import('node:fs/promises')
  getBuiltinModule?(name: 'node:url'): typeof import('node:url')
}

/** Node.js, Deno and Bun have files. Asked for at run time, so that bundlers for browsers look for nothing. */
async function readFile(file: string | URL, how: Reading): Promise<Uint8Array> {
  const { process } = globalThis as { process?: NodeModules }
  const fs = process?.getBuiltinModule?.('node:fs/promises')
  if (!fs) {
    throw new InvalidRequestError(
      'this runtime has no files: pass a File or Blob, bytes, a stream or an https URL',
    )
  }
  const handle = await fs.open(file, 'r').catch((cause: unknown) => {
    const { code = 'unknown error' } = cause as { code?: string }
    throw new SourceError(`the file cannot be opened: ${code}`, { cause })
  })
  try {
    const found = await handle.stat()
    if (!found.isFile()) throw new SourceError('the path does not lead to a regular file')
    checkSize(found.size, how)
    return await handle.readFile({ signal: how.signal })
  } finally {
    await handle.close()
  }
}

function checkSize(bytes: number, { maxInlineBytes }: Reading): void
function checkSize(bytes: number, { maxInlineBytes }: Reading, whole: Uint8Array): Uint8Array
function checkSize(bytes: number, { maxInlineBytes }: Reading, whole?: Uint8Array): Uint8Array | undefined {
  if (bytes <= maxInlineBytes) return whole
  throw new LimitError(
    `inline media of ${bytes} bytes exceeds maxInlineBytes ${maxInlineBytes}: pass an https URL, or raise it here and in ` +
      'the server',
    { details: { found: bytes, limit: maxInlineBytes } },
  )
}

/** The longest URL that is worth sending: servers take no longer ones. */
const maxUrlCharacters = 8192

/** A URL that the server is to fetch; nothing where the media are to be read here. */
export function remoteUrl(media: unknown): string | undefined {
  if (!isUrl(media) || media.protocol === 'file:') return undefined
  if (!/^https?:$/.test(media.protocol)) {
    throw new InvalidRequestError(`a URL must begin with https://, http:// or file://, not ${media.protocol}`)
  }
  if (media.href.length <= maxUrlCharacters) return media.href
  throw new LimitError(`a URL of ${media.href.length} characters is longer than ${maxUrlCharacters}`, {
    details: { found: media.href.length, limit: maxUrlCharacters },
  })
}
