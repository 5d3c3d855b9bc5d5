/** The sink for a table of LanceDB. */
import { mkdir, realpath, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { Connection, Table } from '@lancedb/lancedb'
import { acquireProcessLock } from '../base/process-lock.ts'
import { InvalidArgumentError } from '../errors.ts'
import { agree } from './description.ts'
import { skipRepeats, withFileErrors } from './files.ts'
import {
  connectLance,
  findTable,
  lanceFolder,
  lanceSchema,
  tableDescription,
  withLanceErrors,
} from './lancedb.ts'
import { PartJournal } from './part-journal.ts'
import type { Shard } from './shard.ts'
import type { IndexDescription, IndexedItem, IndexRow, VectorSink } from './sink.ts'

/** Options of {@link lanceSink}. */
export interface LanceSinkOptions {
  /**
   * Rows after which a version of the table is committed, ≥ 1. Default 10,000. Each commit adds a file, and searches are
   * slower in many small ones.
   */
  partRows?: number | undefined
  /** Lets several processes fill one table. Default: one process. */
  shard?: Shard | undefined
}

/**
 * A sink that writes a table of LanceDB in a folder. The table is created if it does not exist, and the metadata of its
 * schema holds the description of the index. The rows of an item replace its former rows, in one version of the table.
 *
 * Rows that wait for the next version lie in a journal beside the table, `_tail-TABLE.jsonl`, from which the next run goes on.
 *
 * Needs the packages `@lancedb/lancedb` and `apache-arrow`. `open` rejects with InvalidArgumentError if one is missing, if
 * another process writes the same shard, or if the table is not an index that this run may add to.
 */
export function lanceSink(folder: string, table: string, options: LanceSinkOptions = {}): VectorSink {
  return new LanceSink(lanceFolder(folder), table, options)
}

/** Names that LanceDB gives to columns of its results. */
const reserved = ['_distance', '_rowid', '_rowaddr', '_score', '_relevance_score']

class LanceSink implements VectorSink {
  readonly #folder: string
  readonly #name: string
  readonly #partRows: number
  readonly #journalFile: string
  #opened: { connection: Connection; table: Table; description: IndexDescription } | undefined
  #unlock: (() => Promise<void>) | undefined
  #journal: PartJournal | undefined
  #pending: IndexedItem[] = []
  #pendingRows = 0

  constructor(folder: string, table: string, { partRows = 10_000, shard }: LanceSinkOptions) {
    this.#folder = folder
    this.#name = table
    this.#partRows = partRows
    const own = shard ? `-${shard.index}-of-${shard.count}` : ''
    this.#journalFile = path.join(folder, `_tail-${encodeURIComponent(table)}${own}.jsonl`)
  }

  async open(wanted: IndexDescription): Promise<void> {
    const taken = Object.keys(wanted.columns).find((name) => reserved.includes(name))
    if (taken !== undefined) {
      throw new InvalidArgumentError(
        `column "${taken}" of the manifest has a name that LanceDB itself uses: give it another one`,
      )
    }
    try {
      await withFileErrors(this.#folder, async () => {
        await mkdir(this.#folder, { recursive: true })
        const lock = `index-${path.basename(this.#journalFile)}`
        this.#unlock = await acquireProcessLock(lock, await realpath(this.#folder))
        if (!this.#unlock) throw new InvalidArgumentError(`${this.#folder}: another process is writing to it`)
      })
      await withLanceErrors(this.#folder, () => this.#openTable(wanted))
      await withFileErrors(this.#journalFile, async () => {
        const { journal, items } = await PartJournal.open(this.#journalFile)
        this.#journal = journal
        this.#add(items)
      })
    } catch (failure) {
      await this.#release()
      throw failure
    }
  }

  held(): AsyncIterable<string> {
    return skipRepeats(this.#ids())
  }

  async *#ids(): AsyncGenerator<string, void, undefined> {
    const { table } = this.#needsOpen()
    const batches = table.query().select(['item'])[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await withLanceErrors(this.#folder, () => batches.next())
      if (done) break
      yield* (value.getChild('item') ?? []) as Iterable<string>
    }
    for (const { id } of this.#pending) yield id
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    await withFileErrors(this.#journalFile, async () => {
      this.#journal ??= (await PartJournal.open(this.#journalFile)).journal
      await this.#journal.append(items)
    })
    this.#add(items)
    if (this.#pendingRows >= this.#partRows) await this.#commit()
  }

  async close(): Promise<void> {
    try {
      if (this.#pending.length > 0) await this.#commit()
      else if (this.#opened) await this.#dropJournal()
    } finally {
      await this.#release()
    }
  }

  async #openTable(wanted: IndexDescription): Promise<void> {
    const connection = await connectLance(this.#folder)
    const schema = await lanceSchema(wanted)
    const table =
      (await findTable(connection, this.#name)) ??
      (await connection.createEmptyTable(this.#name, schema).catch(async (failure) => {
        // Another shard may have created it at the same moment.
        const created = await findTable(connection, this.#name)
        if (created) return created
        throw failure
      }))
    const description = await tableDescription(table, this.#name)
    this.#opened = { connection, table, description }
    agree(description, wanted, `the LanceDB table ${this.#name}`)
  }

  #add(items: readonly IndexedItem[]): void {
    this.#pending.push(...items)
    for (const { rows } of items) this.#pendingRows += rows.length
  }

  /** Writes the pending items as one version of the table. Their rows in the journal may be there already, after a crash. */
  async #commit(): Promise<void> {
    const { table, description } = this.#needsOpen()
    // Of an item that was written twice, the later rows count.
    const items = [...new Map(this.#pending.map((item) => [item.id, item])).values()]
    const rows = items.flatMap((item) => item.rows.map((row) => recordOf(item.id, row, description)))
    await withLanceErrors(this.#folder, async () => {
      const where = `item IN (${items.map(({ id }) => `'${id.replaceAll("'", "''")}'`).join(', ')})`
      const isNew = (await table.countRows(where)) === 0
      const merge = table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll()
      // Looking for rows to delete reads more of the table, and new items have none.
      await (isNew ? merge : merge.whenNotMatchedBySourceDelete({ where })).execute(rows)
    })
    this.#pending = []
    this.#pendingRows = 0
    await this.#dropJournal()
  }

  async #dropJournal(): Promise<void> {
    await this.#journal?.close()
    this.#journal = undefined
    await withFileErrors(this.#journalFile, () =>
      unlink(this.#journalFile).catch((failure) => {
        if (failure.code !== 'ENOENT') throw failure
      }),
    )
  }

  async #release(): Promise<void> {
    await this.#journal?.close()
    this.#journal = undefined
    this.#opened?.connection.close()
    this.#opened = undefined
    await this.#unlock?.()
    this.#unlock = undefined
  }

  #needsOpen(): { table: Table; description: IndexDescription } {
    if (this.#opened) return this.#opened
    throw new InvalidArgumentError('the sink was used before open() or after close()')
  }
}

function recordOf(
  item: string,
  { id, uri, start, end, embedding, warnings, carried }: IndexRow,
  { columns }: IndexDescription,
): Record<string, unknown> {
  const further = Object.entries(columns).map(([name, type]) => {
    const value = carried[name] ?? null
    return [name, type === 'int64' && value !== null ? BigInt(value) : value]
  })
  const own = { id, item, uri, start, end, embedding: Array.from(embedding), warnings }
  return { ...Object.fromEntries(further), ...own }
}
