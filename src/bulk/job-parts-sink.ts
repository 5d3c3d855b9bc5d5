/** The sink for the Parquet parts of one job of a queue, in a folder that the workers of many machines share. */
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError } from '../errors.ts'
import { writeIfAbsent } from './durable.ts'
import { skipRepeats, withFileErrors } from './files.ts'
import { encodePart, loadReader, loadWriter } from './parquet.ts'
import { describeFolder, paddedNumber, partIds } from './parquet-sink.ts'
import type { IndexDescription, IndexedItem, VectorSink } from './sink.ts'

/** Rows that are kept in memory before a part is written. */
const PART_ROWS = 10_000

/**
 * A sink that writes the items of one job to parts with the job's name: `part-JOB-000001.parquet`, and further ones if the job
 * has many rows or is tried again. `job` is 32 hexadecimal digits.
 *
 * Two workers may have the same job at the same time, when one of them was taken for dead. So a part is never replaced: who comes
 * second to a number reads what the parts hold by then, leaves those items out, and takes the next number. Each item is in one
 * part, whatever happens. The folder may be on a network file system with atomic `link`, such as NFS.
 *
 * Rows are durable once the sink is closed, not before.
 */
export function jobPartsSink(folder: string, job: string): VectorSink {
  return new JobPartsSink(folder, job)
}

class JobPartsSink implements VectorSink {
  readonly #folder: string
  readonly #job: string
  #description: IndexDescription | undefined
  #items: IndexedItem[] = []
  #rows = 0
  /** Number of the next part, as far as this process knows. */
  #number = 1

  constructor(folder: string, job: string) {
    this.#folder = folder
    this.#job = job
  }

  async open(wanted: IndexDescription): Promise<void> {
    // Reports missing packages before anything is embedded.
    await loadWriter()
    await loadReader()
    await withFileErrors(this.#folder, async () => {
      await mkdir(this.#folder, { recursive: true })
      this.#description = await describeFolder(this.#folder, wanted)
    })
  }

  held(): AsyncIterable<string> {
    return skipRepeats(this.#newIds())
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    this.#items.push(...items)
    for (const { rows } of items) this.#rows += rows.length
    if (this.#rows >= PART_ROWS) await this.#writePart()
  }

  async close(): Promise<void> {
    await this.#writePart()
  }

  /** Ids in parts that this process has not seen yet. The folder is not listed, because it may have a million files. */
  async *#newIds(): AsyncGenerator<string, void, undefined> {
    const description = this.#opened()
    for (;;) {
      const file = this.#file()
      const found = await stat(file).catch((failure) => {
        if (failure.code !== 'ENOENT') throw failure
      })
      if (!found) return
      yield* partIds(file, description)
      this.#number++
    }
  }

  async #writePart(): Promise<void> {
    let items = this.#items
    this.#items = []
    this.#rows = 0
    while (items.length > 0) {
      const file = this.#file()
      const content = await encodePart(items, this.#opened())
      const isOwn = await withFileErrors(file, () => writeIfAbsent(file, content))
      if (isOwn) {
        this.#number++
        return
      }
      const held = new Set<string>()
      for await (const id of this.#newIds()) held.add(id)
      items = items.filter(({ id }) => !held.has(id))
    }
  }

  #file(): string {
    return path.join(this.#folder, `part-${this.#job}-${paddedNumber(this.#number)}.parquet`)
  }

  #opened(): IndexDescription {
    if (this.#description) return this.#description
    throw new InvalidArgumentError('the sink was used before open()')
  }
}
