/// <reference path="./lancedb-modules.d.ts" />
/** Access to tables of LanceDB, for the sink and the search. */
import { stat } from 'node:fs/promises'
import type { Connection, Table } from '@lancedb/lancedb'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'
import type { ColumnType } from './columns.ts'
import { importPeer } from './files.ts'
import type { IndexDescription } from './sink.ts'

/** The folder that a destination names: `lancedb:FOLDER`, or a folder whose name ends with `.lance` or `.lancedb`. */
export function lanceFolder(out: string): string {
  return out.replace(/^lancedb:/i, '')
}

/** Opens a database, whose folder exists. Rejects with InvalidArgumentError if LanceDB is not installed. */
export async function connectLance(folder: string): Promise<Connection> {
  const { connect } = await importPeer('@lancedb/lancedb', 'LanceDB', () => import('@lancedb/lancedb'))
  return connect(folder)
}

/** Passes the table to `work`; undefined if there is no such folder or table. */
export async function withLanceTable<T>(
  folder: string,
  name: string,
  work: (table: Table, description: IndexDescription) => Promise<T>,
): Promise<T | undefined> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return undefined
  return withLanceErrors(folder, async () => {
    const connection = await connectLance(folder)
    try {
      const table = await findTable(connection, name)
      return table && (await work(table, await tableDescription(table, name)))
    } finally {
      connection.close()
    }
  })
}

/** Opens a table; undefined if it does not exist. */
export async function findTable(connection: Connection, name: string): Promise<Table | undefined> {
  return (await connection.tableNames()).includes(name) ? connection.openTable(name) : undefined
}

/** The description of a table's vectors. Rejects with InvalidArgumentError if the table is not an index. */
export async function tableDescription(table: Table, name: string): Promise<IndexDescription> {
  const { metadata } = await table.schema()
  const description = metadata.get(DESCRIPTION)
  if (description !== undefined) return JSON.parse(description) as IndexDescription
  throw new InvalidArgumentError(
    `the LanceDB table ${name} was not made by cosmos-embed index: choose another`,
  )
}

/** Key of the description in the metadata of a table's schema. */
const DESCRIPTION = 'cosmos_embed'

/** The schema of a new table, with the description in its metadata. */
export async function lanceSchema(description: IndexDescription): Promise<object> {
  const arrow = await importPeer('apache-arrow', 'LanceDB', () => import('apache-arrow'))
  const { Field, Schema, Utf8, Float32, Float64, List, FixedSizeList } = arrow
  const types: Record<ColumnType, () => object> = {
    string: () => new Utf8(),
    int64: () => new arrow.Int64(),
    double: () => new Float64(),
    boolean: () => new arrow.Bool(),
  }
  const embedding = new FixedSizeList(description.model.embeddingDim, new Field('item', new Float32(), true))
  return new Schema(
    [
      new Field('id', new Utf8(), false),
      new Field('item', new Utf8(), false),
      new Field('uri', new Utf8(), true),
      new Field('start', new Float64(), true),
      new Field('end', new Float64(), true),
      new Field('embedding', embedding, false),
      new Field('warnings', new List(new Field('item', new Utf8(), true)), false),
      ...Object.entries(description.columns).map(([name, type]) => new Field(name, types[type](), true)),
    ],
    new Map([[DESCRIPTION, JSON.stringify(description)]]),
  )
}

export interface LanceStatus {
  description: IndexDescription
  rows: number
  parts: number
  bytes: number
}

/** Status of a table; undefined if it does not exist. */
export function lanceStatus(folder: string, name: string): Promise<LanceStatus | undefined> {
  return withLanceTable(folder, name, async (table, description) => {
    const { numRows, totalBytes, fragmentStats } = await table.stats()
    return { description, rows: numRows, parts: fragmentStats.numFragments, bytes: totalBytes }
  })
}

/** Runs `work`; errors of LanceDB become SourceError with the folder's name. */
export async function withLanceErrors<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    if (failure instanceof CosmosEmbedError) throw failure
    throw new SourceError(`${folder}: ${(failure as Error).message}`, { cause: failure })
  }
}
