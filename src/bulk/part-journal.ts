/**
 * The journal of the next Parquet part: rows that are already durable but not yet in a part. It has one line per item, so
 * an item is complete or absent.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import type { IndexedItem, IndexRow } from './sink.ts'

export class PartJournal {
  readonly #handle: FileHandle
  /** Length of the complete lines. */
  #bytes: number

  private constructor(handle: FileHandle, bytes: number) {
    this.#handle = handle
    this.#bytes = bytes
  }

  /** Opens or creates the file, and removes an incomplete last line. */
  static async open(file: string): Promise<{ journal: PartJournal; items: IndexedItem[] }> {
    const whole = (await readWholeLines(file)) ?? Buffer.alloc(0)
    const items = parseItems(whole)
    const handle = await open(file, 'a')
    try {
      await handle.truncate(whole.length)
      return { journal: new PartJournal(handle, whole.length), items }
    } catch (failure) {
      await handle.close()
      throw failure
    }
  }

  /** Appends durably. After a failure the file is truncated to its former length. */
  async append(items: readonly IndexedItem[]): Promise<void> {
    const lines = Buffer.from(items.map((item) => `${formatItem(item)}\n`).join(''))
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

/** The items of a journal, without changing it; undefined if it does not exist. */
export async function readJournal(file: string): Promise<IndexedItem[] | undefined> {
  const whole = await readWholeLines(file)
  return whole && parseItems(whole)
}

async function readWholeLines(file: string): Promise<Buffer | undefined> {
  const content = await readFile(file).catch((failure) => {
    if (failure.code === 'ENOENT') return undefined
    throw failure
  })
  return content?.subarray(0, content.lastIndexOf(0x0a) + 1)
}

function parseItems(lines: Buffer): IndexedItem[] {
  return lines
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(parseItem)
}

function formatItem({ id, rows }: IndexedItem): string {
  const encoded = rows.map(({ embedding, ...rest }) => ({
    ...rest,
    embedding: Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength).toString('base64'),
  }))
  return JSON.stringify({ id, rows: encoded })
}

function parseItem(line: string): IndexedItem {
  const { id, rows } = JSON.parse(line) as {
    id: string
    rows: (Omit<IndexRow, 'embedding'> & { embedding: string })[]
  }
  return {
    id,
    rows: rows.map(({ embedding, ...rest }) => {
      // Copied, because buffers from Node's pool may not be aligned to four bytes.
      const bytes = Uint8Array.from(Buffer.from(embedding, 'base64'))
      return { ...rest, embedding: new Float32Array(bytes.buffer) }
    }),
  }
}
