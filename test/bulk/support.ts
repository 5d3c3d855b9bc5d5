import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { QdrantClient } from '@qdrant/js-client-rest'
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

/** Reads an index, whatever its kind. Of LanceDB and Qdrant it is the default table. */
export async function storedRows(out: string): Promise<StoredRow[]> {
  if (out.endsWith('.lance')) return lanceRows(out)
  if (out.startsWith('qdrant:')) return qdrantRows(out)
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

async function lanceRows(folder: string): Promise<StoredRow[]> {
  const { connect } = await import('@lancedb/lancedb')
  const connection = await connect(folder)
  const table = await connection.openTable('cosmos_embed')
  const rows = (await table.query().toArray()) as Record<string, unknown>[]
  return rows.map((row) => {
    const { embedding, warnings } = row as { embedding: Iterable<number>; warnings: Iterable<string> }
    return { ...row, embedding: [...embedding], warnings: [...warnings] } as unknown as StoredRow
  })
}

async function qdrantRows(url: string): Promise<StoredRow[]> {
  const client = new QdrantClient({ url: url.replace('qdrant', 'http'), checkCompatibility: false })
  const { points } = await client.scroll('cosmos_embed', { limit: 100_000, with_vector: true })
  return points.map(({ payload, vector }) => {
    const { item_rows, ...row } = payload as unknown as StoredRow
    return { ...row, embedding: vector as number[] }
  })
}
