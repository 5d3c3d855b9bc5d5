/** Opens a file of JSON lines for searches. */
import { open } from 'node:fs/promises'
import { fileError, linesOf } from '../files.ts'
import type { IndexDescription } from '../sink.ts'
import { FlatVectors } from './flat-vectors.ts'
import { MemoryIndex } from './memory-index.ts'
import { type StoredRow, storedRow } from './stored-row.ts'

/** Loads the vectors in the first `bytes` bytes of the file, and remembers where each line begins. */
export async function openJsonlIndex(
  file: string,
  description: IndexDescription,
  bytes: number,
  signal: AbortSignal,
): Promise<MemoryIndex> {
  const vectors = new FlatVectors(description.model.embeddingDim)
  const starts = [0]
  try {
    for await (const { line } of linesOf(file, bytes)) {
      signal.throwIfAborted()
      vectors.add((JSON.parse(line) as { embedding: number[] }).embedding)
      starts.push((starts.at(-1) as number) + Buffer.byteLength(line) + 1)
    }
  } catch (failure) {
    signal.throwIfAborted()
    throw fileError(file, failure)
  }
  const read = (rows: readonly number[]) => readLines(file, description, starts, rows)
  return new MemoryIndex(description, vectors, [{ rows: vectors.rows, read }])
}

async function readLines(
  file: string,
  description: IndexDescription,
  starts: readonly number[],
  rows: readonly number[],
): Promise<StoredRow[]> {
  try {
    const handle = await open(file)
    try {
      const found: StoredRow[] = []
      for (const row of rows) {
        const start = starts[row] as number
        const line = Buffer.alloc((starts[row + 1] as number) - start)
        await handle.read(line, 0, line.length, start)
        found.push(storedRow(JSON.parse(line.toString('utf8')), description))
      }
      return found
    } finally {
      await handle.close()
    }
  } catch (failure) {
    throw fileError(file, failure)
  }
}
