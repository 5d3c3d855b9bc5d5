/** Searches a table of LanceDB. */
import type { Connection, Table } from '@lancedb/lancedb'
import { SourceError } from '../../errors.ts'
import { connectLance, findTable, lanceFolder, withLanceErrors, withLanceTable } from '../lancedb.ts'
import type { IndexDescription } from '../sink.ts'
import { storedRow } from './stored-row.ts'
import { CheckedIndex, type IndexHit, type VectorIndex } from './vector-index.ts'

/** The description of a table's vectors; undefined if it does not exist. */
export function describeLance(dest: string, name: string): Promise<IndexDescription | undefined> {
  return withLanceTable(lanceFolder(dest), name, async (_, description) => description)
}

/** Opens the table for searches. */
export async function openLanceIndex(
  dest: string,
  name: string,
  description: IndexDescription,
): Promise<VectorIndex> {
  const folder = lanceFolder(dest)
  return withLanceErrors(folder, async () => {
    const connection = await connectLance(folder)
    try {
      const table = await findTable(connection, name)
      if (!table) throw new SourceError(`${folder}: the table ${name} has been removed`)
      return new LanceIndex(folder, connection, table, description, await table.countRows())
    } catch (failure) {
      connection.close()
      throw failure
    }
  })
}

class LanceIndex extends CheckedIndex {
  readonly #folder: string
  readonly #connection: Connection
  readonly #table: Table

  constructor(
    folder: string,
    connection: Connection,
    table: Table,
    description: IndexDescription,
    rows: number,
  ) {
    super(description, rows)
    this.#folder = folder
    this.#connection = connection
    this.#table = table
  }

  protected async nearest(query: Float32Array, top: number): Promise<IndexHit[]> {
    const columns = [
      'id',
      'item',
      'uri',
      'start',
      'end',
      'warnings',
      ...Object.keys(this.description.columns),
    ]
    const search = this.#table.vectorSearch(query).distanceType('dot').limit(top)
    const rows = await withLanceErrors(this.#folder, () => search.select([...columns, '_distance']).toArray())
    return rows.map((row) => ({
      ...storedRow(row, this.description),
      // LanceDB's distance of two vectors is one minus their dot product.
      score: 1 - (row._distance as number),
    }))
  }

  async close(): Promise<void> {
    this.#table.close()
    this.#connection.close()
  }
}
