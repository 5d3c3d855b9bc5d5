/** Plans items: turns a row of a manifest, a path or a URL into what will be embedded. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CosmosEmbedError, InvalidRequestError } from '../errors.ts'
import type { TextInput } from '../request/schema.ts'
import { parseS3Location, signedUrl } from './s3.ts'

/** A video, or the part of it from `start` to `end` in seconds. */
export interface PlannedVideo {
  /** A path, a URL, or a function that returns a URL valid for one attempt. */
  video: string | URL | (() => Promise<URL>)
  start?: number
  end?: number
}

/** One video or text of a source. */
export interface PlannedItem {
  /** Identifies the item in the index. */
  id: string
  /** Whether the source gave the id; otherwise it was derived from the address. */
  named: boolean
  /** The file's path, or the URL without credentials and query; null for a text. */
  uri: string | null
  input: PlannedVideo | TextInput
  /** Further columns, as they were read. */
  carried: Record<string, unknown>
}

/** A row of a source that describes no item. */
export interface BadRow {
  /** The row's id, or its position if it has none. */
  key: string
  problem: CosmosEmbedError
}

/** What a source yields for each of its rows. */
export type Planned = PlannedItem | BadRow

const loneSurrogate = /\p{Surrogate}/u
const address = /^([a-z][a-z0-9+.-]+):\/\//i

/**
 * Plans a row of a manifest. It may have `id`, `video`, `text`, `start` and `end`; further columns are carried over.
 * Relative paths are resolved against `base`. `place` identifies a row without an id in messages.
 */
export function planRow(row: Readonly<Record<string, unknown>>, base: string, place: string): Planned {
  try {
    return plan(row, base)
  } catch (failure) {
    if (!(failure instanceof CosmosEmbedError)) throw failure
    const id = textIn(row.id)
    const key = id ?? place
    return {
      key,
      problem: id === undefined ? failure : new InvalidRequestError(`${place}: ${failure.message}`),
    }
  }
}

function plan(row: Readonly<Record<string, unknown>>, base: string): PlannedItem {
  const { id: givenId, video, text, start: givenStart, end: givenEnd, ...carried } = row
  const id = idIn(givenId)
  const start = secondsIn('start', givenStart)
  const end = secondsIn('end', givenEnd)
  const videoText = textIn(video)
  if (videoText !== undefined && textIn(text) !== undefined) {
    throw new InvalidRequestError(
      'has both "video" and "text", and only one can be embedded: give the other column another name',
    )
  }
  if (videoText !== undefined) {
    const range = { ...(start !== undefined && { start }), ...(end !== undefined && { end }) }
    return { ...planVideo(videoText, base, id, range), carried }
  }
  if (typeof text !== 'string' || text === '') {
    throw new InvalidRequestError('expected "video" with a path or a URL, or "text" with a text')
  }
  if (start !== undefined || end !== undefined) {
    throw new InvalidRequestError('"start" and "end" apply to videos only, and this is a text')
  }
  return { id: id ?? idIn(text) ?? text, named: id !== undefined, uri: null, input: { text }, carried }
}

/** Plans a path or a URL. Default `id`: the address without secrets, with the range. Throws InvalidRequestError. */
export function planVideo(
  location: string,
  base: string,
  id?: string,
  range: { start?: number; end?: number } = {},
): PlannedItem {
  const { video, uri, hasQuery } = locate(location, base)
  if (id === undefined && hasQuery) {
    throw new InvalidRequestError(
      `${uri} has a query, which may change each time the URL is signed: give the row an "id"`,
    )
  }
  return {
    id: id ?? withRange(uri, range.start, range.end),
    named: id !== undefined,
    uri,
    input: { video, ...range },
    carried: {},
  }
}

function localPath(url: URL): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw new InvalidRequestError('"video" is a file:// URL that names no local path', { cause })
  }
}

function locate(
  location: string,
  base: string,
): { video: PlannedVideo['video']; uri: string; hasQuery: boolean } {
  const scheme = address.exec(location)?.[1]?.toLowerCase()
  if (scheme === undefined) {
    const file = path.resolve(base, location)
    return { video: file, uri: file, hasQuery: false }
  }
  const object = parseS3Location(location)
  if (object) {
    if (object.key === '')
      throw new InvalidRequestError(`"video" is the bucket ${location}: expected an object in it`)
    return { video: () => signedUrl(object), uri: location, hasQuery: false }
  }
  if (!URL.canParse(location))
    throw new InvalidRequestError('"video" looks like a URL but is not a valid one')
  const url = new URL(location)
  if (scheme === 'file') {
    const file = localPath(url)
    return { video: file, uri: file, hasQuery: false }
  }
  if (scheme !== 'http' && scheme !== 'https') {
    throw new InvalidRequestError(
      `"video" is a ${scheme}:// URL: expected a path, https://, s3:// or file://`,
    )
  }
  return { video: url, uri: withoutSecrets(url), hasQuery: url.search !== '' }
}

function withoutSecrets(url: URL): string {
  const bare = new URL(url)
  for (const part of ['search', 'hash', 'username', 'password'] as const) bare[part] = ''
  return bare.href
}

/** Appends a range of time in the syntax of W3C Media Fragments: `#t=START,END`. */
export function withRange(name: string, start: number | undefined, end: number | undefined): string {
  if (start === undefined && end === undefined) return name
  return `${name}#t=${start ?? 0}${end === undefined ? '' : `,${end}`}`
}

/** Refuses what no destination would give back as it was, so that a later run would not find the item. */
function idIn(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new InvalidRequestError(
      `"id" is a number above 2^53, whose last digits are lost in JSON: write it in quotes`,
    )
  }
  const id = textIn(value)
  if (id === undefined || !loneSurrogate.test(id)) return id
  throw new InvalidRequestError(
    '"id" (without one, the text) has half of a surrogate pair, as texts have that were cut inside a character: expected Unicode',
  )
}

function textIn(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return `${value}`
  return typeof value === 'string' && value !== '' ? value : undefined
}

function secondsIn(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const seconds = typeof value === 'string' || typeof value === 'bigint' ? Number(value) : value
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0) return seconds
  throw new InvalidRequestError(
    `"${name}" must be seconds, 0 or more, found ${JSON.stringify(`${value}`.slice(0, 40))}`,
  )
}
