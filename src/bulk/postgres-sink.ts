/** The sink for a table of PostgreSQL with pgvector. */
import type { Client } from 'pg'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'
import type { ColumnType } from './columns.ts'
import { agree } from './description.ts'
import { importPeer } from './files.ts'
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

async function connect(url: string): Promise<Client> {
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
async function readComment(client: Client, table: string): Promise<IndexDescription | undefined> {
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

function recordOf(item: string, { id, uri, start, end, embedding, warnings, carried }: IndexRow): object {
  // Nine significant digits identify every float32.
  const vector = `[${Array.from(embedding, (value) => value.toPrecision(9)).join(',')}]`
  return { ...carried, id, item, uri, start, end, warnings, embedding: vector }
}

function tableError(table: string, failure: unknown): Error {
  if (failure instanceof CosmosEmbedError) return failure
  return new SourceError(`the table ${table}: ${(failure as Error).message}`, { cause: failure })
}

/** Quotes `table` or `schema.table`. */
function quoted(table: string): string {
  return table.split('.').map(quotedName).join('.')
}

function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
