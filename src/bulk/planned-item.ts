/** From a row of a manifest to what is to be embedded. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CosmosEmbedError, InvalidRequestError } from '../errors.ts'
import type { TextInput } from '../request/schema.ts'
import { objectPlace, signedUrl } from './s3.ts'

export interface PlannedVideo {
  /** A function gives a URL that is good for one try. */
  video: string | URL | (() => Promise<URL>)
  start?: number
  end?: number
}

/** One video or text of a source. */
export interface PlannedItem {
  id: string
  /** Whether the id was given, and not made from the address. */
  named: boolean
  uri: string | null
  input: PlannedVideo | TextInput
  /** Further columns, as they were read. */
  carried: Record<string, unknown>
}

/** A place of a source that holds no item. */
export interface BadRow {
  /** The id if there is one, else where the row is. */
  key: string
  problem: CosmosEmbedError
}

export type Planned = PlannedItem | BadRow

const address = /^([a-z][a-z0-9+.-]+):\/\//i

/**
 * `row` may have `id`, `video`, `text`, `start`, `end`; the rest is carried along. Relative paths are below `base`;
 * `place` is what the row is called as long as it has no id.
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
  const id = textIn(givenId)
  const start = secondsIn('start', givenStart)
  const end = secondsIn('end', givenEnd)
  const videoText = textIn(video)
  if (videoText !== undefined && textIn(text) !== undefined) {
    throw new InvalidRequestError(
      'has both "video" and "text": one of them is embedded, so give the other another name',
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
    throw new InvalidRequestError('"start" and "end" belong to a video, and this is a text')
  }
  return { id: id ?? text, named: id !== undefined, uri: null, input: { text }, carried }
}

/** A path or an address by itself, with the id that was given to it. */
export function planVideo(
  word: string,
  base: string,
  id?: string,
  range: { start?: number; end?: number } = {},
): PlannedItem {
  const { video, uri, hasQuery } = locate(word, base)
  if (id === undefined && hasQuery) {
    throw new InvalidRequestError(
      `${uri} has a query, which changes each time that it is signed: give the row an "id" that does not`,
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

function locate(
  word: string,
  base: string,
): { video: PlannedVideo['video']; uri: string; hasQuery: boolean } {
  const scheme = address.exec(word)?.[1]?.toLowerCase()
  if (scheme === undefined) {
    const file = path.resolve(base, word)
    return { video: file, uri: file, hasQuery: false }
  }
  const place = objectPlace(word)
  if (place) {
    if (place.key === '')
      throw new InvalidRequestError(`"video" is the bucket ${word}, and expected is an object in it`)
    return { video: () => signedUrl(place), uri: word, hasQuery: false }
  }
  if (!URL.canParse(word)) throw new InvalidRequestError('"video" looks like a URL and is none')
  const url = new URL(word)
  if (scheme === 'file') {
    const file = fileURLToPath(url)
    return { video: file, uri: file, hasQuery: false }
  }
  if (scheme !== 'http' && scheme !== 'https') {
    throw new InvalidRequestError(
      `"video" is at ${scheme}://, and expected is a path, https://, s3:// or file://`,
    )
  }
  return { video: url, uri: withoutSecrets(url), hasQuery: url.search !== '' }
}

function withoutSecrets(url: URL): string {
  const bare = new URL(url)
  for (const part of ['search', 'hash', 'username', 'password'] as const) bare[part] = ''
  return bare.href
}

/** As Media Fragments (W3C) write a range of time. */
export function withRange(name: string, start: number | undefined, end: number | undefined): string {
  if (start === undefined && end === undefined) return name
  return `${name}#t=${start ?? 0}${end === undefined ? '' : `,${end}`}`
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
