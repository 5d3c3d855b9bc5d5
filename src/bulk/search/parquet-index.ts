/** Opens a folder of Parquet parts for searches. */
import { open, readdir } from 'node:fs/promises'
import path from 'node:path'
import type { FileMetaData } from 'hyparquet'
import { fileError } from '../files.ts'
import { loadReader } from '../parquet.ts'
import { partFiles, partOf } from '../parquet-sink.ts'
import { readJournal } from '../part-journal.ts'
import type { IndexDescription, IndexedItem } from '../sink.ts'
import { FlatVectors } from './flat-vectors.ts'
import { MemoryIndex, type RowSource } from './memory-index.ts'
import { readExactly, readVectors } from './parquet-vectors.ts'
import { type StoredRow, storedRow } from './stored-row.ts'

/** Loads the vectors of all parts, and of the items that a run has not written to a part yet. */
export async function openParquetIndex(
  folder: string,
  description: IndexDescription,
  signal: AbortSignal,
): Promise<MemoryIndex> {
  const vectors = new FlatVectors(description.model.embeddingDim)
  const sources: RowSource[] = []
  const { parts, waiting } = await contents(folder)
  for (const part of parts) {
    signal.throwIfAborted()
    sources.push(await loadPart(path.join(folder, part), description, vectors))
  }
  for (const { rows } of waiting) for (const { embedding } of rows) vectors.add(embedding)
  sources.push(waitingRows(waiting))
  return new MemoryIndex(description, vectors, sources)
}

/** The parts, and the items in journals that have not become a part. A run may turn one into the other meanwhile. */
async function contents(folder: string): Promise<{ parts: string[]; waiting: IndexedItem[] }> {
  for (;;) {
    const files = await readdir(folder)
    const journals = files.filter((file) => /^_tail-.*\.jsonl$/.test(file) && !files.includes(partOf(file)))
    const read = await Promise.all(journals.map((file) => readJournal(path.join(folder, file))))
    const waiting = read.filter((items) => items !== undefined)
    if (waiting.length === read.length) return { parts: partFiles(files), waiting: waiting.flat() }
  }
}

async function loadPart(
  file: string,
  description: IndexDescription,
  vectors: FlatVectors,
): Promise<RowSource> {
  const { asyncBufferFromFile, parquetMetadataAsync } = await loadReader()
  try {
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(file))
    await readVectors(file, metadata, description.model.embeddingDim, (some) => vectors.add(some))
    return { rows: Number(metadata.num_rows), read: (rows) => readStored(file, metadata, description, rows) }
  } catch (failure) {
    throw fileError(file, failure)
  }
}

/** Reads single rows of a part. Its metadata is kept in memory, because reading it takes longer than the rows. */
async function readStored(
  file: string,
  metadata: FileMetaData,
  description: IndexDescription,
  rows: readonly number[],
): Promise<StoredRow[]> {
  const { parquetReadObjects, compressors } = await loadReader()
  const columns = ['id', 'uri', 'start', 'end', 'warnings', ...Object.keys(description.columns)]
  if (description.windows) columns.push('item')
  const handle = await open(file).catch((failure) => {
    throw fileError(file, failure)
  })
  try {
    const { size } = await handle.stat()
    // hyparquet's own opens the file for every slice, which takes half of the time.
    const buffer = {
      byteLength: size,
      slice: async (start: number, end = size) => {
        const { buffer } = await readExactly(handle, file, start, end - start)
        return buffer
      },
    }
    const stored = new Map<number, StoredRow>()
    let groupStart = 0
    for (const { num_rows } of metadata.row_groups) {
      const groupEnd = groupStart + Number(num_rows)
      const wanted = rows.filter((row) => row >= groupStart && row < groupEnd)
      const rowStart = Math.min(...wanted)
      const rowEnd = Math.max(...wanted) + 1
      groupStart = groupEnd
      if (wanted.length === 0) continue
      // A row group is decoded as a whole, so once for all of its rows.
      const read = { file: buffer, metadata, compressors, columns, rowStart, rowEnd }
      const found = await parquetReadObjects(read)
      for (const row of wanted) stored.set(row, storedRow(found[row - rowStart] ?? {}, description))
    }
    return rows.map((row) => stored.get(row) as StoredRow)
  } catch (failure) {
    throw fileError(file, failure)
  } finally {
    await handle.close()
  }
}

function waitingRows(items: readonly IndexedItem[]): RowSource {
  const rows = items.flatMap((item) =>
    item.rows.map(({ embedding: _, ...row }): StoredRow => ({ ...row, item: item.id })),
  )
  return { rows: rows.length, read: async (wanted) => wanted.map((row) => rows[row] as StoredRow) }
}
