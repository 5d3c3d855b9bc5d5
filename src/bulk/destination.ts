/** Chooses the sink for the value of `--out`, and reports the status of an existing index. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError } from '../errors.ts'
import { type Failure, readFailures } from './failures.ts'
import { fileError, linesOf } from './files.ts'
import { jsonlSink, jsonlStateFile } from './jsonl-sink.ts'
import { loadReader } from './parquet.ts'
import { parquetSink, partFiles, readDescription } from './parquet-sink.ts'
import { postgresSink, tableStatus } from './postgres-sink.ts'
import type { Shard } from './shard.ts'
import type { IndexDescription, VectorSink } from './sink.ts'

export interface Destination {
  sink: VectorSink
  /** File for the items that failed. */
  failures: string
}

export const DEFAULT_TABLE = 'cosmos_embed'

export interface DestinationOptions {
  shard?: Shard | undefined
  partRows?: number | undefined
  table?: string | undefined
}

/**
 * The sink for a destination: `*.jsonl` is a file, `postgres://…` a table, anything else a folder of Parquet parts. Throws
 * InvalidArgumentError for other URLs.
 */
export function destinationFor(
  out: string,
  { shard, partRows, table = DEFAULT_TABLE }: DestinationOptions = {},
): Destination {
  const own = shard ? `-${shard.index}-of-${shard.count}` : ''
  if (isPostgres(out)) return { sink: postgresSink(out, table), failures: `${table}${own}.errors.jsonl` }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(out)) {
    throw new InvalidArgumentError(
      `"${out}": expected a folder for Parquet parts, or a file that ends with .jsonl`,
    )
  }
  if (isJsonLines(out)) return { sink: jsonlSink(out), failures: `${out}.errors.jsonl` }
  const sink = parquetSink(out, { shard, ...(partRows !== undefined && { partRows }) })
  return { sink, failures: path.join(out, `_errors${own}.jsonl`) }
}

/** Whether `--out` names a PostgreSQL server. */
export function isPostgres(out: string): boolean {
  return /^postgres(ql)?:\/\//i.test(out)
}

/** Whether `--out` names a file of JSON lines. */
export function isJsonLines(out: string): boolean {
  return /\.(jsonl|ndjson)$/i.test(out)
}

export interface IndexStatus {
  description: IndexDescription
  /** Vectors. */
  rows: number
  /** Items in the journal of the next Parquet part: more than 0 while a run is in progress or after it was killed. */
  waiting: number
  /** Files (or tables) that hold rows. */
  parts: number
  bytes: number
  /** Failures of the last run, or of the one in progress. */
  failures: Failure[]
}

/** Status of an index; undefined if `out` is none. Read-only, so it may be called while a run is in progress. */
export async function statusOf(
  out: string,
  { table = DEFAULT_TABLE }: Pick<DestinationOptions, 'table'> = {},
): Promise<IndexStatus | undefined> {
  if (isPostgres(out)) {
    const found = await tableStatus(out, table)
    return found && { ...found, waiting: 0, parts: 1, failures: await failuresIn(`${table}.errors.jsonl`) }
  }
  try {
    return isJsonLines(out) ? await linesStatus(out) : await partsStatus(out)
  } catch (failure) {
    throw fileError(out, failure)
  }
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
  const status: IndexStatus = { description, rows: 0, waiting: 0, parts: 0, bytes: 0, failures: [] }
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

/** Name of the part that a journal becomes. */
function partOf(journal: string): string {
  return journal.replace('_tail-', 'part-').replace(/\.jsonl$/, '.parquet')
}

async function failuresIn(file: string): Promise<Failure[]> {
  return (await stat(file).catch(() => undefined)) ? readFailures(file) : []
}
