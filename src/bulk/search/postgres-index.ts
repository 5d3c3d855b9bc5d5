/** Searches a table with pgvector. */
import type { Client } from 'pg'
import { connect, quoted, quotedName, readComment, tableError, tableStatus, vectorText } from '../postgres.ts'
import type { IndexDescription } from '../sink.ts'
import { storedRow } from './stored-row.ts'
import { CheckedIndex, type IndexHit, type VectorIndex } from './vector-index.ts'

/** pgvector allows at most so many candidates of an HNSW index; by default it finds no more than forty rows. */
const MAX_CANDIDATES = 1000
const DEFAULT_CANDIDATES = 40

/** Connects to the server for searches in the table. */
export async function openPostgresIndex(
  url: string,
  table: string,
  description: IndexDescription,
): Promise<VectorIndex> {
  const { rows = 0 } = (await tableStatus(url, table)) ?? {}
  return new PostgresIndex(await connect(url), table, description, rows)
}

/** The description of a table's vectors; undefined if it does not exist. */
export async function describePostgres(url: string, table: string): Promise<IndexDescription | undefined> {
  const client = await connect(url)
  try {
    return await readComment(client, table)
  } catch (failure) {
    throw tableError(table, failure)
  } finally {
    await client.end().catch(() => {})
  }
}

class PostgresIndex extends CheckedIndex {
  readonly #client: Client
  readonly #table: string
  /** The searches before. They share one connection, and a transaction may not begin within another. */
  #earlier: Promise<unknown> = Promise.resolve()

  constructor(client: Client, table: string, description: IndexDescription, rows: number) {
    super(description, rows)
    this.#client = client
    this.#table = table
  }

  protected async nearest(query: Float32Array, top: number, signal: AbortSignal): Promise<IndexHit[]> {
    const own = this.#earlier.then(() => {
      signal.throwIfAborted()
      return this.#select(query, top)
    })
    this.#earlier = own.catch(() => {})
    return own
  }

  async close(): Promise<void> {
    await this.#earlier
    await this.#client.end().catch(() => {})
  }

  async #select(query: Float32Array, top: number): Promise<IndexHit[]> {
    const names = Object.keys(this.description.columns).map((name) => `, ${quotedName(name)}`)
    const select = `SELECT id, item, uri, start, "end", warnings${names.join('')},
        -(embedding <#> $1::vector) AS cosmos_embed_score
      FROM ${quoted(this.#table)} ORDER BY embedding <#> $1::vector LIMIT $2`
    try {
      await this.#client.query('BEGIN READ ONLY')
      try {
        const candidates = Math.min(Math.max(top, DEFAULT_CANDIDATES), MAX_CANDIDATES)
        await this.#client.query("SELECT set_config('hnsw.ef_search', $1, true)", [`${candidates}`])
        const { rows } = await this.#client.query<Record<string, unknown>>(select, [vectorText(query), top])
        return rows.map(({ cosmos_embed_score: score, ...row }) => ({
          ...storedRow(withIntegers(row, this.description), this.description),
          score: score as number,
        }))
      } finally {
        await this.#client.query('ROLLBACK').catch(() => {})
      }
    } catch (failure) {
      throw tableError(this.#table, failure)
    }
  }
}

/** pg gives a bigint as text. */
function withIntegers(row: Record<string, unknown>, { columns }: IndexDescription): Record<string, unknown> {
  const integers = Object.keys(columns).filter((name) => columns[name] === 'int64' && row[name] !== null)
  return { ...row, ...Object.fromEntries(integers.map((name) => [name, BigInt(row[name] as string)])) }
}
