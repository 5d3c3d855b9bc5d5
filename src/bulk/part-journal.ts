/** Rows that wait for a Parquet part, kept in a file meanwhile: one line an item, so that an item is whole or not there. */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import type { IndexedItem, IndexRow } from './sink.ts'

export class PartJournal {
  readonly #handle: FileHandle
  /** Of whole lines. */
  #bytes: number

  private constructor(handle: FileHandle, bytes: number) {
    this.#handle = handle
    this.#bytes = bytes
  }

  /** Opens the file, or makes it. A line that was cut off is gone. */
  static async open(file: string): Promise<{ tail: PartJournal; items: IndexedItem[] }> {
    const items: IndexedItem[] = []
    const content = await readFile(file).catch((failure) => {
      if (failure.code === 'ENOENT') return Buffer.alloc(0)
      throw failure
    })
    const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1)
    for (const line of whole.toString('utf8').split('\n')) if (line !== '') items.push(read(line))
    const handle = await open(file, 'a')
    try {
      await handle.truncate(whole.length)
      return { tail: new PartJournal(handle, whole.length), items }
    } catch (failure) {
      await handle.close()
      throw failure
    }
  }

  /** What could not be written whole is taken back. */
  async append(items: readonly IndexedItem[]): Promise<void> {
    const lines = Buffer.from(items.map((item) => `${written(item)}\n`).join(''))
    try {
      await this.#handle.appendFile(lines)
      await this.#handle.datasync()
      this.#bytes += lines.length
    } catch (failure) {
      await this.#handle.truncate(this.#bytes).catch(() => {})
      throw failure
    }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

function written({ id, rows }: IndexedItem): string {
  const kept = rows.map(({ embedding, ...rest }) => ({
    ...rest,
    embedding: Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength).toString('base64'),
  }))
  return JSON.stringify({ id, rows: kept })
}

function read(line: string): IndexedItem {
  const { id, rows } = JSON.parse(line) as {
    id: string
    rows: (Omit<IndexRow, 'embedding'> & { embedding: string })[]
  }
  return {
    id,
    rows: rows.map(({ embedding, ...rest }) => {
      // Copied: a buffer out of Node's pool need not begin at a multiple of four.
      const bytes = Uint8Array.from(Buffer.from(embedding, 'base64'))
      return { ...rest, embedding: new Float32Array(bytes.buffer) }
    }),
  }
}
