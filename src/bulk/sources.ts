/** Where the items of an index come from. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CosmosEmbedError, InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import { linesOf, fileError, importPeer } from './files.ts'
import { expandGlob, isGlob } from './glob.ts'
import { readRows } from './parquet.ts'
import { type Planned, planRow, planVideo } from './planned-item.ts'
import { listVideos, type ObjectPlace, objectPlace } from './s3.ts'
import { walkVideos } from './walk-videos.ts'

/** May be read more than once: first to count, then to work. */
export interface IndexSource {
  name: string
  items(): AsyncIterable<Planned>
}

export interface OpenedSources extends AsyncDisposable {
  sources: IndexSource[]
}

export interface SourceOptions {
  /** Default: the process's. */
  stdin?: AsyncIterable<Uint8Array> | undefined
  /** Of the wait for the end of standard input. */
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
  /** Undefined for a line that holds none. */
  row: Record<string, unknown> | undefined
}

/**
 * What each word means: a folder, a pattern, a manifest (`.jsonl`, `.csv`, `.parquet`), a video, an https URL, `s3://bucket/prefix`, or
 * `-` for lines on standard input, which are kept in a file until they have been worked off. Rejects with InvalidArgumentError
 * for a word that leads nowhere.
 */
export async function openSources(
  words: readonly string[],
  { stdin = process.stdin, signal }: SourceOptions = {},
): Promise<OpenedSources> {
  if (words.filter((word) => word === '-').length > 1) {
    throw new InvalidArgumentError('standard input can be read once: "-" is there more than once')
  }
  const sources: IndexSource[] = []
  let spool: string | undefined
  const clear = async () => {
    if (spool !== undefined) await rm(spool, { recursive: true, force: true })
  }
  try {
    for (const word of words) {
      if (word !== '-') sources.push(await sourceFor(word))
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

async function sourceFor(word: string): Promise<IndexSource> {
  const place = objectPlace(word)
  if (place) return { name: word, items: () => bucketItems(place) }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(word)) return videoList(word, [word])
  const found = await stat(word).catch(() => undefined)
  if (found?.isDirectory()) return { name: word, items: () => folderItems(word) }
  const read = manifests[path.extname(word).toLowerCase()]
  if (found && read) return { name: word, items: () => manifestItems(word, read) }
  if (found) return videoList(word, [word])
  if (!isGlob(word)) throw new InvalidArgumentError(`there is no file or folder "${word}"`)
  const files = await expandGlob(word)
  if (files.length === 0) throw new InvalidArgumentError(`no file matches "${word}"`)
  return videoList(word, files)
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

async function* bucketItems({ bucket, key: prefix }: ObjectPlace): AsyncGenerator<Planned, void, undefined> {
  for await (const key of listVideos({ bucket, key: prefix })) yield planVideo(`s3://${bucket}/${key}`, '.')
}

async function* manifestItems(
  file: string,
  read: (file: string) => AsyncIterable<NumberedRow>,
): AsyncGenerator<Planned, void, undefined> {
  // As the files that a manifest names mostly lie beside it.
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

/** A line is a row in JSON if it begins with a brace, and else a path or a URL. */
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
  // What goes wrong with the file comes out of the parser.
  const ended = pipeline(createReadStream(file), parser).catch(() => {})
  for await (const { record, info } of parser as AsyncIterable<{
    record: Record<string, string>
    info: { lines: number }
  }>) {
    // An empty cell is nothing, not an empty text.
    const cells = Object.entries(record).map(([name, cell]) => [name, cell === '' ? null : cell])
    yield { row: Object.fromEntries(cells), number: info.lines }
  }
  await ended
}

async function* parquetRows(file: string): AsyncGenerator<NumberedRow, void, undefined> {
  let number = 0
  for await (const row of readRows(file)) yield { row, number: ++number }
}
