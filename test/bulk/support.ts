import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll } from 'vitest'
import { readRows } from '../../src/bulk/parquet.ts'

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-bulk-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface StoredRow {
  id: string
  item?: string
  uri: string | null
  start: number | null
  end: number | null
  embedding: number[]
  warnings: string[]
  [column: string]: unknown
}

/** Reads an index: the Parquet files of a folder, or a file of JSON lines. */
export async function storedRows(out: string): Promise<StoredRow[]> {
  if (out.endsWith('.jsonl')) {
    const lines = readFileSync(out, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line) as StoredRow)
  }
  const rows: StoredRow[] = []
  for (const file of readdirSync(out).filter((name) => name.endsWith('.parquet'))) {
    for await (const row of readRows(path.join(out, file))) rows.push(row as StoredRow)
  }
  return rows
}
