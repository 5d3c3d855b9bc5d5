/** The sink for a file of JSON lines. */
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { acquireProcessLock } from '../base/process-lock.ts'
import { InvalidArgumentError } from '../errors.ts'
import { agree } from './description.ts'
import { writeAtomically } from './durable.ts'
import { linesOf, skipRepeats, withFileErrors } from './files.ts'
import { readDescription } from './parquet-sink.ts'
import type { IndexDescription, IndexedItem, IndexRow, VectorSink } from './sink.ts'

interface State extends IndexDescription {
  /** Length of the file up to the last complete item. */
  bytes: number
}

/**
 * A sink that writes one JSON line per row. `FILE.index.json` beside it holds the description of the index and the length of
 * the file up to the last complete item: whatever a crash left behind that is truncated on `open`.
 *
 * One process at a time may write to a file. `open` rejects with InvalidArgumentError if another one does, or if the file is
 * not an index that this run may add to.
 */
export function jsonlSink(file: string): VectorSink {
  return new JsonlSink(file)
}

class JsonlSink implements VectorSink {
  readonly #file: string
  #state: State | undefined
  #handle: FileHandle | undefined
  #unlock: (() => Promise<void>) | undefined

  constructor(file: string) {
    this.#file = file
  }

  async open(wanted: IndexDescription): Promise<void> {
    try {
      await withFileErrors(this.#file, () => this.#open(wanted))
    } catch (failure) {
      await this.close()
      throw failure
    }
  }

  async #open(wanted: IndexDescription): Promise<void> {
    const folder = await realpath(path.dirname(this.#file))
    this.#unlock = await acquireProcessLock('index', path.join(folder, path.basename(this.#file)))
    if (!this.#unlock) throw new InvalidArgumentError(`${this.#file}: another process is writing to it`)
    const existing = (await readDescription(jsonlStateFile(this.#file))) as State | undefined
    const size = (await stat(this.#file).catch(() => undefined))?.size ?? 0
    if (existing) agree(existing, wanted, this.#file)
    if (size > 0 && !existing) {
      throw new InvalidArgumentError(
        `${this.#file} already exists and was not written by cosmos-embed index: choose another destination`,
      )
    }
    if (existing && size < existing.bytes) {
      throw new InvalidArgumentError(
        `${this.#file} has ${size} bytes but had ${existing.bytes}: rows are missing. Restore it, or remove it and ` +
          `${jsonlStateFile(this.#file)} and start over`,
      )
    }
    this.#state = existing ?? { ...wanted, bytes: 0 }
    this.#handle = await open(this.#file, 'a')
    await this.#handle.truncate(this.#state.bytes)
    await this.#commit(this.#state)
  }

  held(): AsyncIterable<string> {
    return skipRepeats(this.#ids())
  }

  async *#ids(): AsyncGenerator<string, void, undefined> {
    const { windows, bytes } = this.#opened().state
    for await (const { line } of linesOf(this.#file, bytes)) {
      const { id, item } = JSON.parse(line) as { id: string; item: string }
      yield windows ? item : id
    }
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    const { handle, state } = this.#opened()
    const lines = Buffer.from(items.map((item) => linesFor(item, state.windows !== null)).join(''))
    await withFileErrors(this.#file, async () => {
      try {
        await handle.appendFile(lines)
        await handle.datasync()
      } catch (failure) {
        await handle.truncate(state.bytes).catch(() => {})
        throw failure
      }
      await this.#commit({ ...state, bytes: state.bytes + lines.length })
    })
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
    await this.#unlock?.()
    this.#unlock = undefined
  }

  async #commit(state: State): Promise<void> {
    await writeAtomically(jsonlStateFile(this.#file), `${JSON.stringify(state, null, 2)}\n`)
    this.#state = state
  }

  #opened(): { handle: FileHandle; state: State } {
    if (this.#handle && this.#state) return { handle: this.#handle, state: this.#state }
    throw new InvalidArgumentError('the sink was used before open() or after close()')
  }
}

/** Name of the file that describes an index of JSON lines. */
export function jsonlStateFile(file: string): string {
  return `${file}.index.json`
}

function linesFor({ id: item, rows }: IndexedItem, windows: boolean): string {
  return rows.map((row) => `${JSON.stringify(lineFor(item, row, windows))}\n`).join('')
}

function lineFor(
  item: string,
  { id, uri, start, end, embedding, warnings, carried }: IndexRow,
  windows: boolean,
) {
  return {
    id,
    ...(windows && { item }),
    uri,
    start,
    end,
    // Nine significant digits identify every float32.
    embedding: Array.from(embedding, (value) => Number(value.toPrecision(9))),
    warnings,
    ...carried,
  }
}
