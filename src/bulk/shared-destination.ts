/** Destinations that the workers of a queue write together. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError } from '../errors.ts'
import { agree } from './description.ts'
import { DEFAULT_TABLE, kindOf } from './destination.ts'
import { fileError, skipRepeats } from './files.ts'
import { jobPartsSink } from './job-parts-sink.ts'
import { DESCRIPTION, partFiles, partIds, readDescription } from './parquet-sink.ts'
import { heldInTable, postgresSink } from './postgres-sink.ts'
import type { IndexDescription, VectorSink } from './sink.ts'

/** What a producer knows of the vectors without loading the model. */
export type KnownDescription = Pick<IndexDescription, 'frameRule' | 'frameTolerance' | 'windows' | 'columns'>

/** Where the vectors of a job go. */
export interface SharedDestination {
  /** A folder for Parquet parts, or `postgres://…`. */
  out: string
  table?: string | undefined
}

/** Throws InvalidArgumentError for a destination that several processes cannot write at the same time. */
export function checkShared(out: string): void {
  const kind = kindOf(out)
  if (kind === 'parquet' || kind === 'postgres') return
  const why =
    kind === 'jsonl'
      ? 'a file of JSON lines has one writer, and a queue has many workers'
      : `the workers of a queue do not write ${kind === 'lancedb' ? 'LanceDB' : 'Qdrant'}`
  throw new InvalidArgumentError(
    `${kind === 'qdrant' ? 'qdrant://…' : `"${out}"`}: ${why}: choose a folder for Parquet parts that all of them see, or postgres://…`,
  )
}

/** The sink for the items `ids` of the job `job`. Its `held` yields only ids of this job. */
export function sinkForJob(
  { out, table = DEFAULT_TABLE }: SharedDestination,
  job: string,
  ids: readonly string[],
): VectorSink {
  checkShared(out)
  return kindOf(out) === 'postgres' ? postgresSink(out, table, ids) : jobPartsSink(out, job)
}

/**
 * Yields the ids of all items in a destination, without opening it for writing. It need not exist. Throws InvalidArgumentError
 * if it holds vectors that do not compare with the wanted ones.
 */
export async function* heldIn(
  { out, table = DEFAULT_TABLE }: SharedDestination,
  wanted: KnownDescription,
): AsyncGenerator<string, void, undefined> {
  checkShared(out)
  const { frameRule, frameTolerance, windows, columns } = wanted
  const check = (existing: IndexDescription, where: string) =>
    agree(existing, { ...existing, frameRule, frameTolerance, windows, columns }, where)
  if (kindOf(out) === 'postgres') {
    yield* heldInTable(out, table, (existing) => check(existing, `the table ${table}`))
  } else yield* skipRepeats(heldInFolder(out, (existing) => check(existing, out)))
}

async function* heldInFolder(
  folder: string,
  check: (existing: IndexDescription) => void,
): AsyncGenerator<string, void, undefined> {
  const description = await readDescription(path.join(folder, DESCRIPTION))
  if (!description) return
  check(description)
  const files = await readdir(folder).catch((failure) => {
    throw fileError(folder, failure)
  })
  const journal = files.find((file) => file.startsWith('_tail-'))
  if (journal !== undefined) {
    throw new InvalidArgumentError(
      `${path.join(folder, journal)} was left by a run of cosmos-embed index without a queue: let that run finish first`,
    )
  }
  for (const file of partFiles(files)) yield* partIds(path.join(folder, file), description)
}
