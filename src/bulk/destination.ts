/** Chooses the sink for the value of `--out`, and reports the status of an existing index. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError } from '../errors.ts'
import { type Failure, readFailures } from './failures.ts'
import { linesOf, withFileErrors } from './files.ts'
import { jsonlSink, jsonlStateFile } from './jsonl-sink.ts'
import { lanceFolder, lanceStatus } from './lancedb.ts'
import { lanceSink } from './lancedb-sink.ts'
import { loadReader } from './parquet.ts'
import { parquetSink, partFiles, partOf, readDescription } from './parquet-sink.ts'
import { tableStatus } from './postgres.ts'
import { postgresSink } from './postgres-sink.ts'
import { collectionStatus } from './qdrant.ts'
import { qdrantSink } from './qdrant-sink.ts'
import type { Shard } from './shard.ts'
import type { IndexDescription, VectorSink } from './sink.ts'

export interface Destination {
  sink: VectorSink
  /** File for the items that failed. */
  failures: string
}

/** Name of a table or collection that is not named. */
export const DEFAULT_TABLE = 'cosmos_embed'

export interface DestinationOptions {
  shard?: Shard | undefined
  partRows?: number | undefined
  table?: string | undefined
}

export type DestinationKind = 'parquet' | 'jsonl' | 'postgres' | 'lancedb' | 'qdrant'

/**
 * The kind of a destination, by the form of its name: `postgres://…`, `qdrant://…` and `lancedb:FOLDER` say it, a name that
 * ends with `.lance` or `.lancedb` is a folder of LanceDB, `*.jsonl` is a file, and anything else a folder of Parquet parts.
 * Throws InvalidArgumentError for other URLs.
 */
export function kindOf(out: string): DestinationKind {
  if (/^postgres(ql)?:\/\//i.test(out)) return 'postgres'
  if (/^qdrants?:\/\//i.test(out)) return 'qdrant'
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(out)) {
    throw new InvalidArgumentError(
      `"${out}": expected a folder for Parquet parts, a file that ends with .jsonl, a LanceDB folder that ends with .lance, ` +
        'postgres://… or qdrant://…',
    )
  }
  if (/^lancedb:|\.lance(db)?\/?$/i.test(out)) return 'lancedb'
  return /\.(jsonl|ndjson)$/i.test(out) ? 'jsonl' : 'parquet'
}

/** The sink for a destination. Throws InvalidArgumentError for URLs that are none. */
export function destinationFor(
  out: string,
  { shard, partRows, table = DEFAULT_TABLE }: DestinationOptions = {},
): Destination {
  const own = shard ? `-${shard.index}-of-${shard.count}` : ''
  const failures = `${table}${own}.errors.jsonl`
  const parts = { shard, ...(partRows !== undefined && { partRows }) }
  switch (kindOf(out)) {
    case 'postgres':
      return { sink: postgresSink(out, table), failures }
    case 'qdrant':
      return { sink: qdrantSink(out, table), failures }
    case 'lancedb':
      return { sink: lanceSink(out, table, parts), failures: path.join(lanceFolder(out), `_${failures}`) }
    case 'jsonl':
      return { sink: jsonlSink(out), failures: `${out}.errors.jsonl` }
    case 'parquet':
      return { sink: parquetSink(out, parts), failures: path.join(out, `_errors${own}.jsonl`) }
  }
}

export interface IndexStatus {
  description: IndexDescription
  /** Vectors. */
  rows: number
  /** Items in the journal of the next Parquet part: more than 0 while a run is in progress or after it was killed. */
  waiting: number
  /** Files (or tables) that hold rows. */
  parts: number
  /** Undefined where the database does not tell. */
  bytes: number | undefined
  /** Failures of the last run, or of the one in progress. */
  failures: Failure[]
}

/** Status of an index; undefined if `out` is none. Read-only, so it may be called while a run is in progress. */
export async function statusOf(
  out: string,
  { table = DEFAULT_TABLE }: Pick<DestinationOptions, 'table'> = {},
): Promise<IndexStatus | undefined> {
  switch (kindOf(out)) {
    case 'postgres':
      return databaseStatus(await tableStatus(out, table), table)
    case 'qdrant':
      return databaseStatus(await collectionStatus(out, table), table)
    case 'lancedb':
      return withFileErrors(out, () => lanceTableStatus(lanceFolder(out), table))
    case 'jsonl':
      return withFileErrors(out, () => linesStatus(out))
    case 'parquet':
      return withFileErrors(out, () => partsStatus(out))
  }
}

async function databaseStatus(
  found: { description: IndexDescription; rows: number; bytes?: number } | undefined,
  table: string,
): Promise<IndexStatus | undefined> {
  if (!found) return undefined
  return {
    waiting: 0,
    parts: 1,
    bytes: undefined,
    ...found,
    failures: await failuresIn(`${table}.errors.jsonl`),
  }
}

async function lanceTableStatus(folder: string, table: string): Promise<IndexStatus | undefined> {
  const found = await lanceStatus(folder, table)
  if (!found) return undefined
  const status: IndexStatus = { ...found, waiting: 0, failures: [] }
  const [journals, failures] = [`_tail-${encodeURIComponent(table)}`, `_${table}`]
  for (const file of await readdir(folder)) {
    const whole = path.join(folder, file)
    if (isOwn(file, journals, '.jsonl')) for await (const _ of linesOf(whole)) status.waiting++
    if (isOwn(file, failures, '.errors.jsonl')) status.failures.push(...(await readFailures(whole)))
  }
  return status
}

/** Whether a file's name is that of a run: between `start` and `end` there may be a shard. */
function isOwn(file: string, start: string, end: string): boolean {
  if (!file.startsWith(start) || !file.endsWith(end)) return false
  return /^(-\d+-of-\d+)?$/.test(file.slice(start.length, -end.length))
}

async function linesStatus(file: string): Promise<IndexStatus | undefined> {
  const state = await readDescription(jsonlStateFile(file))
  if (!state) return undefined
  const { bytes, ...description } = state as IndexDescription & { bytes: number }
  let rows = 0
  for await (const _ of linesOf(file, bytes)) rows++
  const failures = await failuresIn(`${file}.errors.jsonl`)
  return { description, rows, waiting: 0, parts: 1, bytes, failures }
}

async function partsStatus(folder: string): Promise<IndexStatus | undefined> {
  const description = await readDescription(path.join(folder, '_index.json'))
  if (!description) return undefined
  const files = await readdir(folder)
  const status = { description, rows: 0, waiting: 0, parts: 0, bytes: 0, failures: [] as Failure[] }
  const { asyncBufferFromFile, parquetMetadataAsync } = await loadReader()
  for (const part of partFiles(files)) {
    const file = path.join(folder, part)
    const { num_rows } = await parquetMetadataAsync(await asyncBufferFromFile(file))
    status.rows += Number(num_rows)
    status.bytes += (await stat(file)).size
    status.parts++
  }
  for (const file of files) {
    const whole = path.join(folder, file)
    if (/^_tail-.*\.jsonl$/.test(file) && !files.includes(partOf(file))) {
      for await (const _ of linesOf(whole)) status.waiting++
    }
    if (/^_errors.*\.jsonl$/.test(file)) status.failures.push(...(await readFailures(whole)))
  }
  return status
}

async function failuresIn(file: string): Promise<Failure[]> {
  return (await stat(file).catch(() => undefined)) ? readFailures(file) : []
}
