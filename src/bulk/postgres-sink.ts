/** The sink for a table of PostgreSQL with pgvector. */
import type { Client } from 'pg'
import { InvalidArgumentError } from '../errors.ts'
import type { ColumnType } from './columns.ts'
import { agree } from './description.ts'
import { connect, quoted, quotedName, readComment, tableError, vectorText } from './postgres.ts'
import type { IndexDescription, IndexedItem, IndexRow, VectorSink } from './sink.ts'

/** SQLSTATE of a transaction that met another one: unique violation, deadlock, serialization failure. */
const conflicts = new Set(['23505', '40P01', '40001'])

/** Ids fetched at a time. */
const FETCH = 10_000

const types: Record<ColumnType, string> = {
  string: 'text',
  int64: 'bigint',
  double: 'double precision',
  boolean: 'boolean',
}

/**
 * A sink that writes a table with a pgvector column. `url` is a connection string of `pg`; `table` may be `schema.table`. The
 * table is created if it does not exist, and its comment holds the description of the index. Any number of processes may
 * write to it at once; the rows of an item replace its former rows. `among`: `held` yields only ids of this list.
 *
 * Needs the package `pg`. `open` rejects with InvalidArgumentError if it is missing or if the table is not an index that this
 * run may add to, and with SourceError if the server cannot be reached.
 */
export function postgresSink(url: string, table: string, among?: readonly string[]): VectorSink {
  return new PostgresSink(url, table, among)
}

class PostgresSink implements VectorSink {
  readonly #url: string
  readonly #table: string
  readonly #among: readonly string[] | undefined
  #client: Client | undefined
  #description: IndexDescription | undefined

  constructor(url: string, table: string, among: readonly string[] | undefined) {
    this.#url = url
    this.#table = table
    this.#among = among
  }

  async open(wanted: IndexDescription): Promise<void> {
    try {
      this.#client = await connect(this.#url)
      await this.#withTableErrors(() => this.#inTransaction(() => this.#describe(wanted)))
    } catch (failure) {
      await this.close()
      throw failure
    }
  }

  async *held(): AsyncGenerator<string, void, undefined> {
    const client = this.#opened()
    if (!this.#among) {
      yield* tableIds(client, this.#table)
      return
    }
    const some = `SELECT DISTINCT item FROM ${quoted(this.#table)} WHERE item = ANY($1)`
    const { rows } = await this.#withTableErrors(() => client.query<{ item: string }>(some, [this.#among]))
    for (const { item } of rows) yield item
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    const client = this.#opened()
    const table = quoted(this.#table)
    const records = items.flatMap((item) => item.rows.map((row) => recordOf(item.id, row)))
    const columns = Object.entries(this.#description?.columns ?? {})
    const names = columns.map(([name]) => `, ${quotedName(name)}`).join('')
    const typed = columns.map(([name, type]) => `, ${quotedName(name)} ${types[type]}`).join('')
    const replace = () =>
      this.#inTransaction(async () => {
        await client.query(`DELETE FROM ${table} WHERE item = ANY($1)`, [items.map(({ id }) => id)])
        await client.query(
          `INSERT INTO ${table} (id, item, uri, start, "end", embedding, warnings${names})
           SELECT id, item, uri, start, "end", embedding::vector,
             ARRAY(SELECT json_array_elements_text(warnings))${names}
           FROM json_to_recordset($1::json) AS rows (id text, item text, uri text, start double precision,
             "end" double precision, embedding text, warnings json${typed})`,
          [JSON.stringify(records)],
        )
      })
    await this.#withTableErrors(async () => {
      for (let tries = 1; ; tries++) {
        try {
          return await replace()
        } catch (failure) {
          // Another process wrote the same items at the same moment. Its rows are there now, and the next try replaces them.
          if (tries >= 5 || !conflicts.has((failure as { code?: string }).code ?? '')) throw failure
        }
      }
    })
  }

  async close(): Promise<void> {
    await this.#client?.end().catch(() => {})
    this.#client = undefined
  }

  async #describe(wanted: IndexDescription): Promise<void> {
    const client = this.#opened()
    // Two processes that start at once must not both create the table.
    await client.query("SELECT pg_advisory_xact_lock(hashtext('cosmos_embed'))")
    const existing = await readComment(client, this.#table)
    if (existing) {
      this.#description = existing
      agree(existing, wanted, `the table ${this.#table}`)
      return
    }
    const columns = Object.entries(wanted.columns).map(
      ([name, type]) => `, ${quotedName(name)} ${types[type]}`,
    )
    const table = quoted(this.#table)
    await client.query('CREATE EXTENSION IF NOT EXISTS vector')
    await client.query(
      `CREATE TABLE ${table} (id text PRIMARY KEY, item text NOT NULL, uri text, start double precision,
         "end" double precision, embedding vector(${wanted.model.embeddingDim}) NOT NULL,
         warnings text[] NOT NULL${columns.join('')})`,
    )
    await client.query(`CREATE INDEX ON ${table} (item)`)
    const comment = JSON.stringify({ cosmos_embed: wanted })
    await client.query(`COMMENT ON TABLE ${table} IS '${comment.replaceAll("'", "''")}'`)
    this.#description = wanted
  }

  async #inTransaction(work: () => Promise<void>): Promise<void> {
    const client = this.#opened()
    await client.query('BEGIN')
    try {
      await work()
      await client.query('COMMIT')
    } catch (failure) {
      await client.query('ROLLBACK').catch(() => {})
      throw failure
    }
  }

  async #withTableErrors<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (failure) {
      throw tableError(this.#table, failure)
    }
  }

  #opened(): Client {
    if (this.#client) return this.#client
    throw new InvalidArgumentError('the sink was used before open() or after close()')
  }
}

/** Yields the ids of all items of a table, on a connection that is used for nothing else meanwhile. */
async function* tableIds(client: Client, table: string): AsyncGenerator<string, void, undefined> {
  try {
    await client.query('BEGIN READ ONLY')
    const all = `SELECT DISTINCT item FROM ${quoted(table)}`
    await client.query(`DECLARE held NO SCROLL CURSOR FOR ${all}`)
    for (;;) {
      const { rows } = await client.query<{ item: string }>(`FETCH ${FETCH} FROM held`)
      if (rows.length === 0) return
      for (const { item } of rows) yield item
    }
  } catch (failure) {
    throw tableError(table, failure)
  } finally {
    await client.query('ROLLBACK').catch(() => {})
  }
}

/** Yields the ids of all items of a table that may not exist. `check` gets its description first. Reads only. */
export async function* heldInTable(
  url: string,
  table: string,
  check: (description: IndexDescription) => void,
): AsyncGenerator<string, void, undefined> {
  const client = await connect(url)
  try {
    const description = await readComment(client, table).catch((failure) => {
      throw tableError(table, failure)
    })
    if (!description) return
    check(description)
    yield* tableIds(client, table)
  } finally {
    await client.end().catch(() => {})
  }
}

function recordOf(item: string, { id, uri, start, end, embedding, warnings, carried }: IndexRow): object {
  return { ...carried, id, item, uri, start, end, warnings, embedding: vectorText(embedding) }
}
