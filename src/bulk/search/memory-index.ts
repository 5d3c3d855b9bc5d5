/** An index in memory: the vectors are loaded, the other columns are read when a row is found. */
import type { IndexDescription } from '../sink.ts'
import type { FlatVectors, Neighbour } from './flat-vectors.ts'
import type { StoredRow } from './stored-row.ts'
import { CheckedIndex, type IndexHit } from './vector-index.ts'

/** Where the rows of an index in memory come from, e.g. a Parquet part. Rows are counted from 0 within it. */
export interface RowSource {
  readonly rows: number
  /** Reads rows, in the order that is asked for. */
  read(rows: readonly number[]): Promise<StoredRow[]>
}

export class MemoryIndex extends CheckedIndex {
  readonly #vectors: FlatVectors
  readonly #sources: { firstRow: number; source: RowSource }[]

  /** `vectors` holds those of all `sources`, one source after the other. */
  constructor(description: IndexDescription, vectors: FlatVectors, sources: readonly RowSource[]) {
    super(description, vectors.rows)
    this.#vectors = vectors
    let firstRow = 0
    this.#sources = sources.map((source) => {
      const placed = { firstRow, source }
      firstRow += source.rows
      return placed
    })
  }

  protected async nearest(query: Float32Array, top: number, signal: AbortSignal): Promise<IndexHit[]> {
    const found = await this.#vectors.nearest(query, top, signal)
    const hits = new Map<Neighbour, IndexHit>()
    for (const [{ firstRow, source }, neighbours] of this.#bySource(found)) {
      const rows = await source.read(neighbours.map(({ row }) => row - firstRow))
      neighbours.forEach((neighbour, place) => {
        hits.set(neighbour, { ...(rows[place] as StoredRow), score: neighbour.score })
      })
    }
    return found.map((neighbour) => hits.get(neighbour) as IndexHit)
  }

  async close(): Promise<void> {}

  #bySource(found: readonly Neighbour[]): Map<{ firstRow: number; source: RowSource }, Neighbour[]> {
    const groups = new Map<{ firstRow: number; source: RowSource }, Neighbour[]>()
    for (const neighbour of found) {
      const placed = this.#sources.findLast(
        ({ firstRow, source }) => firstRow <= neighbour.row && source.rows > 0,
      ) as { firstRow: number; source: RowSource }
      groups.set(placed, [...(groups.get(placed) ?? []), neighbour])
    }
    return groups
  }
}
