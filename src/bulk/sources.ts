/** Opens the sources of an index: folders, patterns, manifests, videos, URLs, buckets and standard input. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CosmosEmbedError, InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import { fileError, importPeer, linesOf } from './files.ts'
import { expandGlob, isGlob } from './glob.ts'
import { readRows } from './parquet.ts'
import { type Planned, planRow, planVideo } from './planned-item.ts'
import { listVideos, parseS3Location, type S3Location } from './s3.ts'
import { walkVideos } from './walk-videos.ts'

/** A source of items. */
export interface IndexSource {
  /** For messages. */
  name: string
  /** Called once to survey the items and once to embed them, so it must yield the same items again. */
  items(): AsyncIterable<Planned>
}

/** Opened sources. Disposing of them removes the temporary copy of standard input. */
export interface OpenedSources extends AsyncDisposable {
  sources: IndexSource[]
}

/** Options of {@link openSources}. */
export interface SourceOptions {
  /** What "-" reads. Default: the standard input of the process. */
  stdin?: AsyncIterable<Uint8Array> | undefined
  /** Cancels reading standard input. */
  signal?: AbortSignal | undefined
}

const manifests: Record<string, (file: string) => AsyncIterable<NumberedRow>> = {
  '.jsonl': jsonRows,
  '.ndjson': jsonRows,
  '.csv': csvRows,
  '.parquet': parquetRows,
}

interface NumberedRow {
  number: number
  /** Undefined for a line that is not a row. */
  row: Record<string, unknown> | undefined
}

/**
 * Opens each location: a folder, a pattern, a manifest (`.jsonl`, `.csv`, `.parquet`), a video, an https URL,
 * `s3://bucket/prefix`, or `-` for lines on standard input, which are copied to a temporary file. Dispose of the result.
 *
 * Rejects with InvalidArgumentError for a location that does not exist, and with the signal's reason.
 */
export async function openSources(
  locations: readonly string[],
  { stdin = process.stdin, signal }: SourceOptions = {},
): Promise<OpenedSources> {
  if (locations.filter((location) => location === '-').length > 1) {
    throw new InvalidArgumentError('standard input can be read only once: "-" is given more than once')
  }
  const sources: IndexSource[] = []
  let spool: string | undefined
  const clear = async () => {
    if (spool !== undefined) await rm(spool, { recursive: true, force: true })
  }
  try {
    for (const location of locations) {
      if (location !== '-') sources.push(await sourceFor(location))
      else {
        spool = await mkdtemp(path.join(tmpdir(), 'cosmos-embed-index-'))
        const file = path.join(spool, 'stdin')
        await pipeline(Readable.from(stdin), createWriteStream(file), { ...(signal && { signal }) })
        sources.push({ name: 'standard input', items: () => stdinItems(file) })
      }
    }
  } catch (failure) {
    await clear()
    throw signal?.aborted ? signal.reason : failure
  }
  return { sources, [Symbol.asyncDispose]: clear }
}

async function sourceFor(location: string): Promise<IndexSource> {
  const bucket = parseS3Location(location)
  if (bucket) return { name: location, items: () => bucketItems(bucket) }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location)) return videoList(location, [location])
  const found = await stat(location).catch(() => undefined)
  if (found?.isDirectory()) return { name: location, items: () => folderItems(location) }
  const read = manifests[path.extname(location).toLowerCase()]
  if (found && read) return { name: location, items: () => manifestItems(location, read) }
  if (found) return videoList(location, [location])
  if (!isGlob(location)) throw new InvalidArgumentError(`there is no file or folder "${location}"`)
  const files = await expandGlob(location)
  if (files.length === 0) throw new InvalidArgumentError(`no file matches "${location}"`)
  return videoList(location, files)
}

function videoList(name: string, videos: readonly string[]): IndexSource {
  return {
    name,
    async *items() {
      for (const video of videos) yield planRow({ video }, '.', video)
    },
  }
}

async function* folderItems(folder: string): AsyncGenerator<Planned, void, undefined> {
  try {
    for await (const file of walkVideos(folder)) yield planVideo(file, '.')
  } catch (failure) {
    throw fileError(folder, failure)
  }
}

async function* bucketItems({ bucket, key: prefix }: S3Location): AsyncGenerator<Planned, void, undefined> {
  for await (const key of listVideos({ bucket, key: prefix })) yield planVideo(`s3://${bucket}/${key}`, '.')
}

async function* manifestItems(
  file: string,
  read: (file: string) => AsyncIterable<NumberedRow>,
): AsyncGenerator<Planned, void, undefined> {
  // Paths in a manifest are relative to its folder.
  const base = path.dirname(path.resolve(file))
  try {
    for await (const { row, number } of read(file)) yield planNumberedRow(row, base, `${file}:${number}`)
  } catch (failure) {
    if (failure instanceof CosmosEmbedError) throw failure
    throw fileError(file, failure)
  }
}

function planNumberedRow(row: NumberedRow['row'], base: string, place: string): Planned {
  if (row) return planRow(row, base, place)
  return { key: place, problem: new InvalidRequestError('the line is not a JSON object') }
}

/** A line is a row in JSON if it begins with a brace; otherwise it is a path or a URL. */
async function* stdinItems(file: string): AsyncGenerator<Planned, void, undefined> {
  for await (const { line, number } of linesOf(file)) {
    const row = line.trimStart().startsWith('{') ? parsed(line) : { video: line }
    yield planNumberedRow(row, '.', `standard input:${number}`)
  }
}

async function* jsonRows(file: string): AsyncGenerator<NumberedRow, void, undefined> {
  for await (const { line, number } of linesOf(file)) yield { row: parsed(line), number }
}

function parsed(line: string): NumberedRow['row'] {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {}
  return undefined
}

async function* csvRows(file: string): AsyncGenerator<NumberedRow, void, undefined> {
  const { parse } = await importPeer('csv-parse', 'reading CSV', () => import('csv-parse'))
  const parser = parse({ columns: true, bom: true, info: true, skip_empty_lines: true })
  // Errors of the file reach the loop below through the parser.
  const ended = pipeline(createReadStream(file), parser).catch(() => {})
  for await (const { record, info } of parser as AsyncIterable<{
    record: Record<string, string>
    info: { lines: number }
  }>) {
    // An empty cell is null, not an empty string.
    const cells = Object.entries(record).map(([name, cell]) => [name, cell === '' ? null : cell])
    yield { row: Object.fromEntries(cells), number: info.lines }
  }
  await ended
}

async function* parquetRows(file: string): AsyncGenerator<NumberedRow, void, undefined> {
  let number = 0
  for await (const row of readRows(file)) yield { row, number: ++number }
}
