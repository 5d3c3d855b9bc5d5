/** An index as one file of JSON lines. */
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { acquireProcessLock } from '../base/process-lock.ts'
import { InvalidArgumentError } from '../errors.ts'
import { agree } from './description.ts'
import { writeWhole } from './durable.ts'
import { linesOf, naming, unrepeated } from './files.ts'
import { readDescription } from './parquet-sink.ts'
import type { IndexDescription, IndexedItem, IndexRow, VectorSink } from './sink.ts'

interface State extends IndexDescription {
  /** Of the file, that hold whole items. */
  bytes: number
}

/**
 * One line a row, and beside it `FILE.index.json`: what all vectors have in common, and how much of the file is whole.
 * What lies behind that, a crash has left there, and it is cut off.
 */
export function jsonlSink(file: string): VectorSink {
  return new JsonlSink(file)
}

class JsonlSink implements VectorSink {
  readonly #file: string
  #state: State | undefined
  #handle: FileHandle | undefined
  #letGo: (() => Promise<void>) | undefined

  constructor(file: string) {
    this.#file = file
  }

  async open(wanted: IndexDescription): Promise<void> {
    try {
      await naming(this.#file, () => this.#open(wanted))
    } catch (failure) {
      await this.close()
      throw failure
    }
  }

  async #open(wanted: IndexDescription): Promise<void> {
    const folder = await realpath(path.dirname(this.#file))
    this.#letGo = await acquireProcessLock('index', path.join(folder, path.basename(this.#file)))
    if (!this.#letGo) throw new InvalidArgumentError(`${this.#file}: another process is writing to it`)
    const there = (await readDescription(jsonlStateFile(this.#file))) as State | undefined
    const size = (await stat(this.#file).catch(() => undefined))?.size ?? 0
    if (there) agree(there, wanted, this.#file)
    if (size > 0 && !there) {
      throw new InvalidArgumentError(
        `${this.#file} is there and was not written by cosmos-embed index: choose another destination`,
      )
    }
    if (there && size < there.bytes) {
      throw new InvalidArgumentError(
        `${this.#file} has ${size} bytes and had ${there.bytes}: rows are missing. Bring it back, or remove ` +
          `${jsonlStateFile(this.#file)} and it, and start over`,
      )
    }
    this.#state = there ?? { ...wanted, bytes: 0 }
    this.#handle = await open(this.#file, 'a')
    await this.#handle.truncate(this.#state.bytes)
    await this.#commit(this.#state)
  }

  held(): AsyncIterable<string> {
    return unrepeated(this.#ids())
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
    await naming(this.#file, async () => {
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
    await this.#letGo?.()
    this.#letGo = undefined
  }

  async #commit(state: State): Promise<void> {
    await writeWhole(jsonlStateFile(this.#file), `${JSON.stringify(state, null, 2)}\n`)
    this.#state = state
  }

  #opened(): { handle: FileHandle; state: State } {
    if (this.#handle && this.#state) return { handle: this.#handle, state: this.#state }
    throw new InvalidArgumentError('the sink is used before open() or after close()')
  }
}

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
    // Nine digits are every float32.
    embedding: Array.from(embedding, (value) => Number(value.toPrecision(9))),
    warnings,
    ...carried,
  }
}
