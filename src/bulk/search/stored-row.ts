/** Turns a row as a store gives it into the form of a hit. */
import { carry } from '../columns.ts'
import type { IndexDescription } from '../sink.ts'
import type { IndexHit } from './vector-index.ts'

/** A row without its vector and its score. */
export type StoredRow = Omit<IndexHit, 'score'>

/** `row` may lack `item`, which is then its id, and hold further columns, which are left out. */
export function storedRow(row: Readonly<Record<string, unknown>>, { columns }: IndexDescription): StoredRow {
  const { id, item, uri, start, end, warnings } = row as Partial<StoredRow> & { id: string }
  return {
    id,
    item: item ?? id,
    uri: uri ?? null,
    start: start ?? null,
    end: end ?? null,
    warnings: [...(warnings ?? [])],
    carried: carry(row, columns),
  }
}
