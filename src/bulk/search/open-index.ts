/** Opens an index for searches. */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError } from '../../errors.ts'
import { DEFAULT_TABLE, kindOf } from '../destination.ts'
import { jsonlStateFile } from '../jsonl-sink.ts'
import { readDescription } from '../parquet-sink.ts'
import { describeCollection } from '../qdrant.ts'
import type { IndexDescription } from '../sink.ts'
import { openJsonlIndex } from './jsonl-index.ts'
import { describeLance, openLanceIndex } from './lancedb-index.ts'
import { openParquetIndex } from './parquet-index.ts'
import { describePostgres, openPostgresIndex } from './postgres-index.ts'
import { openQdrantIndex } from './qdrant-index.ts'
import type { VectorIndex } from './vector-index.ts'

/** Options of {@link openIndex}. */
export interface OpenIndexOptions {
  /** Table in PostgreSQL or LanceDB, or collection in Qdrant. Default `cosmos_embed`. */
  table?: string | undefined
  /**
   * The model that embeds the queries, as in `embedder.info().model`. If it is given and is not the model of the index, the
   * index is not opened: scores between vectors of two models mean nothing.
   */
  model?: { readonly id: string; readonly fingerprint: string } | undefined
  /** Ends the loading, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * Opens what `cosmos-embed index` or a sink of this module has written. `dest` is what `--out` was: a folder of Parquet
 * parts, a `.jsonl` file, `postgres://…`, a LanceDB folder or `qdrant://…`.
 *
 * The vectors of a folder or a file are loaded into memory, 4 bytes times their length each (1 GB for a million of 256), and
 * compared with the query one and all. The other columns stay on disk. A database searches by itself. Rows that are written
 * later are found by databases only.
 *
 * Rejects with InvalidArgumentError if `dest` is no index, if a package is missing, or if the model is not the index's, and
 * with SourceError if the index cannot be read.
 *
 * ```ts
 * await using index = await openIndex('index', { model: embedder.info().model })
 * const { embedding } = await embedder.embedText('a red car turning left')
 * for (const { score, uri, start } of await index.search(embedding, { top: 20 })) console.log(score, uri, start)
 * ```
 */
export async function openIndex(dest: string, options: OpenIndexOptions = {}): Promise<VectorIndex> {
  const { table = DEFAULT_TABLE, model, signal = new AbortController().signal } = options
  signal.throwIfAborted()
  const description = await describeIndex(dest, { table })
  if (!description) {
    throw new InvalidArgumentError(
      `"${dest.replace(/:\/\/.*/, '://…')}" is not an index that cosmos-embed has written`,
    )
  }
  if (model) checkModel(description, model)
  const index = await open(dest, table, description, signal)
  if (!signal.aborted) return index
  await index.close()
  throw signal.reason
}

async function open(
  dest: string,
  table: string,
  description: IndexDescription,
  signal: AbortSignal,
): Promise<VectorIndex> {
  switch (kindOf(dest)) {
    case 'postgres':
      return openPostgresIndex(dest, table, description)
    case 'lancedb':
      return openLanceIndex(dest, table, description)
    case 'qdrant':
      return openQdrantIndex(dest, table, description)
    case 'jsonl':
      return openJsonlIndex(
        dest,
        description,
        (description as IndexDescription & { bytes: number }).bytes,
        signal,
      )
    case 'parquet':
      return openParquetIndex(dest, description, signal)
  }
}

/** The description of an index; undefined if `dest` is none. Throws InvalidArgumentError for URLs that are no destination. */
export async function describeIndex(
  dest: string,
  { table = DEFAULT_TABLE }: { table?: string | undefined } = {},
): Promise<IndexDescription | undefined> {
  switch (kindOf(dest)) {
    case 'postgres':
      return describePostgres(dest, table)
    case 'lancedb':
      return describeLance(dest, table)
    case 'qdrant':
      return describeCollection(dest, table)
    case 'jsonl':
      return readDescription(jsonlStateFile(dest))
    case 'parquet':
      return (await isFolder(dest)) ? readDescription(path.join(dest, '_index.json')) : undefined
  }
}

function checkModel({ model }: IndexDescription, wanted: { id: string; fingerprint: string }): void {
  if (model.fingerprint === wanted.fingerprint) return
  throw new InvalidArgumentError(
    `the index has vectors of ${model.id} with the fingerprint ${model.fingerprint}, but the query's model is ${wanted.id} ` +
      `with ${wanted.fingerprint}: embed the query with the model and the frame rule of the index`,
  )
}

async function isFolder(name: string): Promise<boolean> {
  return (await stat(name).catch(() => undefined))?.isDirectory() ?? false
}
