/** Reads media that are sent inline. A request reads its media just before it is sent, to keep memory low. */
import { abortable } from '../base/abort.ts'
import { CosmosEmbedError, InvalidRequestError, LimitError, SourceError } from '../errors.ts'
import { chunksOf } from '../source/chunks.ts'
import { asUint8Array, isBlob, isBytes, isResponse, isUrl } from '../source/type-guards.ts'
import type { Picture, VideoInput } from '../types.ts'
import { concatBytes, encodePng } from './png.ts'

export interface ReadOptions {
  maxInlineBytes: number
  signal: AbortSignal
}

/** Rejects with SourceError, LimitError, InvalidRequestError or `signal.reason`. */
export async function readMedia(media: VideoInput['video'], options: ReadOptions): Promise<Uint8Array> {
  options.signal.throwIfAborted()
  try {
    const bytes = await bytesOf(media, options)
    if (bytes.length === 0) throw new SourceError('the media is empty')
    return bytes
  } catch (failure) {
    options.signal.throwIfAborted()
    if (failure instanceof CosmosEmbedError) throw failure
    throw new SourceError('the media could not be read', { cause: failure })
  }
}

/** As {@link readMedia}, for a picture; raw pixels are encoded as PNG. */
export async function readPicture(picture: Picture, options: ReadOptions): Promise<Uint8Array> {
  if (!isPixels(picture)) return readMedia(picture, options)
  const { width, height, data } = picture
  const sides = [width, height].every((side) => Number.isInteger(side) && side > 0)
  if (!sides || !isBytes(data) || data.byteLength !== 3 * width * height) {
    throw new InvalidRequestError('a picture of raw pixels must hold 3 * width * height bytes of RGB in data')
  }
  checkSize(data.byteLength, options)
  return encodePng({ width, height, data: asUint8Array(data) })
}

function isPixels(picture: Picture): picture is Extract<Picture, { width: number }> {
  return typeof picture === 'object' && picture !== null && 'width' in picture && 'data' in picture
}

async function bytesOf(media: VideoInput['video'], options: ReadOptions): Promise<Uint8Array> {
  if (typeof media === 'string' || isUrl(media)) return readFile(media, options)
  if (isBytes(media)) return checkSize(media.byteLength, options, asUint8Array(media))
  if (isResponse(media)) return readStream(bodyOf(media), options)
  if (isBlob(media)) {
    checkSize(media.size, options)
    return new Uint8Array(await abortable(media.arrayBuffer(), options.signal))
  }
  return readStream(media, options)
}

function bodyOf(response: Response): ReadableStream<Uint8Array> {
  if (!response.ok) throw new SourceError(`the response has status ${response.status}: expected media`)
  if (response.bodyUsed) throw new SourceError('the body of the response has been read already')
  if (response.body === null) throw new SourceError('the response has no body')
  return response.body
}

async function readStream(
  stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: ReadOptions,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of chunksOf(stream, options.signal)) {
    if (!isBytes(part)) throw new SourceError('the stream yields something other than bytes')
    length += part.byteLength
    checkSize(length, options)
    // A copy, because the source may reuse its buffer for the next chunk.
    parts.push(new Uint8Array(asUint8Array(part)))
  }
  return concatBytes(parts)
}

interface NodeModules {
  getBuiltinModule?(name: 'node:fs/promises'): typeof import('node:fs/promises')
  getBuiltinModule?(name: 'node:url'): typeof import('node:url')
}

/** Node.js, Deno and Bun have files. `fs` is looked up at run time, so that bundlers for browsers do not resolve it. */
async function readFile(file: string | URL, options: ReadOptions): Promise<Uint8Array> {
  const { process } = globalThis as { process?: NodeModules }
  const fs = process?.getBuiltinModule?.('node:fs/promises')
  if (!fs) {
    throw new InvalidRequestError(
      'this runtime cannot read files: pass a File or Blob, bytes, a stream or an https URL',
    )
  }
  // The file system may not answer, and opening a FIFO waits for a writer in a thread that nothing interrupts.
  return abortable(readRegular(fs, file, options), options.signal)
}

async function readRegular(
  fs: typeof import('node:fs/promises'),
  file: string | URL,
  options: ReadOptions,
): Promise<Uint8Array> {
  const unopened = (cause: unknown): never => {
    const { code = 'unknown error' } = cause as { code?: string }
    throw new SourceError(`the file cannot be opened: ${code}`, { cause })
  }
  const found = await fs.stat(file).catch(unopened)
  if (!found.isFile()) throw new SourceError('the path is not a regular file')
  checkSize(found.size, options)
  options.signal.throwIfAborted()
  const handle = await fs.open(file, 'r').catch(unopened)
  try {
    // The file may have become another one meanwhile.
    checkSize((await handle.stat()).size, options)
    return await handle.readFile({ signal: options.signal })
  } finally {
    await handle.close()
  }
}

function checkSize(bytes: number, { maxInlineBytes }: ReadOptions): void
function checkSize(bytes: number, { maxInlineBytes }: ReadOptions, whole: Uint8Array): Uint8Array
function checkSize(
  bytes: number,
  { maxInlineBytes }: ReadOptions,
  whole?: Uint8Array,
): Uint8Array | undefined {
  if (bytes <= maxInlineBytes) return whole
  throw new LimitError(
    `inline media of ${bytes} bytes exceeds maxInlineBytes ${maxInlineBytes}: pass an https URL, or raise it here and in ` +
      'the server',
    { details: { found: bytes, limit: maxInlineBytes } },
  )
}

/** Servers accept no longer URLs. */
const maxUrlCharacters = 8192

/** The URL that the server will fetch; undefined for media that the client reads itself. */
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
