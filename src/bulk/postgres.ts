/** Access to tables with a pgvector column, for the sink and the search. */
import type { Client } from 'pg'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'
import { importPeer } from './files.ts'
import type { IndexDescription } from './sink.ts'

export interface TableStatus {
  description: IndexDescription
  rows: number
  bytes: number
}

/** Status of a table; undefined if it does not exist. */
export async function tableStatus(url: string, table: string): Promise<TableStatus | undefined> {
  const client = await connect(url)
  try {
    const description = await readComment(client, table)
    if (!description) return undefined
    const size = `SELECT count(*)::float8 AS rows, pg_total_relation_size($1::regclass)::float8 AS bytes FROM ${quoted(table)}`
    const { rows } = await client.query<{ rows: number; bytes: number }>(size, [quoted(table)])
    return { description, ...(rows[0] as { rows: number; bytes: number }) }
  } catch (failure) {
    throw tableError(table, failure)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Connects to a server. Rejects with SourceError if it cannot be reached. */
export async function connect(url: string): Promise<Client> {
  const { default: pg } = await importPeer('pg', 'PostgreSQL', () => import('pg'))
  const client = new pg.Client({ connectionString: url, application_name: 'cosmos-embed' })
  // A connection that breaks while idle makes the next query fail, which is early enough to report it.
  client.on('error', () => {})
  try {
    await client.connect()
    return client
  } catch (cause) {
    // Without the URL, which may contain a password.
    throw new SourceError(
      `PostgreSQL cannot be reached: ${(cause as Error).message || (cause as Error).name}`,
      { cause },
    )
  }
}

/** The description in a table's comment; undefined if the table does not exist. Rejects if the table is not an index. */
export async function readComment(client: Client, table: string): Promise<IndexDescription | undefined> {
  const { rows } = await client.query<{ found: string | null; comment: string | null }>(
    "SELECT to_regclass($1)::text AS found, obj_description(to_regclass($1), 'pg_class') AS comment",
    [quoted(table)],
  )
  const [row] = rows
  if (!row?.found) return undefined
  try {
    const { cosmos_embed: description } = JSON.parse(row.comment ?? '') as { cosmos_embed?: IndexDescription }
    if (description) return description
  } catch {}
  throw new InvalidArgumentError(`the table ${table} was not made by cosmos-embed index: choose another`)
}

/** A vector as pgvector reads it. */
export function vectorText(vector: Float32Array): string {
  // Nine significant digits identify every float32.
  return `[${Array.from(vector, (value) => value.toPrecision(9)).join(',')}]`
}

/** A CosmosEmbedError as it is; any other failure as a SourceError with the table's name. */
export function tableError(table: string, failure: unknown): Error {
  if (failure instanceof CosmosEmbedError) return failure
  return new SourceError(`the table ${table}: ${(failure as Error).message}`, { cause: failure })
}

/** Quotes `table` or `schema.table`. */
export function quoted(table: string): string {
  return table.split('.').map(quotedName).join('.')
}

export function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
