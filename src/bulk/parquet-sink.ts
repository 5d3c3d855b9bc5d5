/** An index as a folder of Parquet parts. */
import { mkdir, readdir, readFile, realpath, unlink } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError, SourceError } from '../errors.ts'
import { holdName } from '../base/process-lock.ts'
import { agree } from './description.ts'
import { syncFolder, writeIfAbsent, writeAtomically } from './durable.ts'
import { fileError, withFileErrors, skipRepeats } from './files.ts'
import { encodePart, loadReader, loadWriter, readRows } from './parquet.ts'
import type { Shard } from './shard.ts'
import type { IndexDescription, IndexedItem, VectorSink } from './sink.ts'
import { PartJournal } from './part-journal.ts'

export interface ParquetSinkOptions {
  /** Rows of one part. Default 10,000. The last part of a run may have fewer; windows of one video stay together. */
  partRows?: number
  /** Of several processes that fill one folder: each has parts of its own. */
  shard?: Shard | undefined
}

/**
 * ```
 * _index.json             what all vectors have in common
 * part-000001.parquet     rows; with a shard part-2-of-8-000001.parquet
 * _tail-000002.jsonl      rows that wait to become part 2
 * ```
 *
 * The folder is its own journal. A part appears whole, by being renamed, and then its tail is removed; a tail whose part
 * is existing has nothing to say. Readers of folders leave alone what begins with `_`.
 */
export function parquetSink(folder: string, options: ParquetSinkOptions = {}): VectorSink {
  return new ParquetSink(folder, options)
}

class ParquetSink implements VectorSink {
  readonly #folder: string
  readonly #partRows: number
  /** What the names of our parts have in front of their number. */
  readonly #prefix: string
  #description: IndexDescription | undefined
  #unlock: (() => Promise<void>) | undefined
  #journal: PartJournal | undefined
  #pendingItems: IndexedItem[] = []
  #pendingRows = 0
  /** Of the part that comes next. */
  #number = 1

  constructor(folder: string, { partRows = 10_000, shard }: ParquetSinkOptions) {
    this.#folder = folder
    this.#partRows = partRows
    this.#prefix = shard ? `${shard.index}-of-${shard.count}-` : ''
  }

  async open(wanted: IndexDescription): Promise<void> {
    // Before anything is embedded that could not be kept.
    await loadWriter()
    await loadReader()
    try {
      await withFileErrors(this.#folder, async () => {
        await mkdir(this.#folder, { recursive: true })
        this.#unlock = await holdName(`index-${this.#prefix}`, await realpath(this.#folder))
        if (!this.#unlock) throw new InvalidArgumentError(`${this.#folder}: another process is writing to it`)
        await this.#describe(wanted)
        await this.#recover()
      })
    } catch (failure) {
      await this.#release()
      throw failure
    }
  }

  held(): AsyncIterable<string> {
    return skipRepeats(this.#ids())
  }

  async *#ids(): AsyncGenerator<string, void, undefined> {
    const { windows } = this.#opened()
    const column = windows ? 'item' : 'id'
    for (const file of partFiles(await readdir(this.#folder))) {
      try {
        for await (const row of readRows(path.join(this.#folder, file), [column])) yield row[column] as string
      } catch (failure) {
        throw fileError(path.join(this.#folder, file), failure)
      }
    }
    for (const { id } of this.#pendingItems) yield id
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    await withFileErrors(this.#journalFile(), async () => {
      this.#journal ??= (await PartJournal.open(this.#journalFile())).tail
      await this.#journal.append(items)
    })
    this.#add(items)
    if (this.#pendingRows >= this.#partRows) await this.#writePart()
  }

  async close(): Promise<void> {
    try {
      if (this.#pendingRows > 0) await this.#writePart()
    } finally {
      await this.#release()
    }
  }

  async #describe(wanted: IndexDescription): Promise<void> {
    const file = path.join(this.#folder, '_index.json')
    const existing = await readDescription(file)
    if (!existing && partFiles(await readdir(this.#folder)).length > 0) {
      throw new InvalidArgumentError(
        `${this.#folder} has parts but no _index.json, so what their vectors are is not known: choose another destination`,
      )
    }
    // Another shard may be the first in the same moment.
    if (!existing) await writeIfAbsent(file, `${JSON.stringify(wanted, null, 2)}\n`)
    this.#description = existing ?? (await readDescription(file)) ?? wanted
    agree(this.#description, wanted, this.#folder)
  }

  /** Takes up what an earlier run has left. */
  async #recover(): Promise<void> {
    const files = await readdir(this.#folder)
    const ours = new RegExp(`^part-${this.#prefix}(\\d+)\\.parquet$`)
    const numbers = files.flatMap((file) => Number(ours.exec(file)?.[1] ?? []))
    this.#number = Math.max(0, ...numbers) + 1
    const halves = files.filter(
      (file) => file.startsWith(`part-${this.#prefix}`) && file.endsWith('.partial'),
    )
    for (const file of halves) {
      if (ours.test(file.slice(0, -'.partial'.length))) await unlink(path.join(this.#folder, file))
    }
    for (const file of files) await this.#recoverJournal(file)
  }

  async #recoverJournal(file: string): Promise<void> {
    const [, prefix, count, digits] = /^_tail-((?:\d+-of-(\d+)-)?)(\d+)\.jsonl$/.exec(file) ?? []
    if (digits === undefined) return
    if (prefix !== this.#prefix) {
      const ownCount = /-of-(\d+)-/.exec(this.#prefix)?.[1]
      if (count !== undefined && count === ownCount) return
      const how =
        prefix === '' ? 'without --shard' : `with --shard ${prefix?.slice(0, -1).replace('-of-', '/')}`
      throw new InvalidArgumentError(
        `${path.join(this.#folder, file)} was left by a run ${how}: let that run finish first`,
      )
    }
    const whole = path.join(this.#folder, file)
    if (Number(digits) !== this.#number) {
      await unlink(whole)
      return
    }
    const { tail, items } = await PartJournal.open(whole)
    this.#journal = tail
    this.#add(items)
  }

  #add(items: readonly IndexedItem[]): void {
    this.#pendingItems.push(...items)
    for (const { rows } of items) this.#pendingRows += rows.length
  }

  async #writePart(): Promise<void> {
    const file = path.join(this.#folder, `part-${this.#prefix}${paddedNumber(this.#number)}.parquet`)
    await withFileErrors(file, async () => {
      await writeAtomically(file, await encodePart(this.#pendingItems, this.#opened()))
      await this.#journal?.close()
      this.#journal = undefined
      await unlink(this.#journalFile())
      await syncFolder(this.#folder)
    })
    this.#number++
    this.#pendingItems = []
    this.#pendingRows = 0
  }

  async #release(): Promise<void> {
    await this.#journal?.close()
    this.#journal = undefined
    await this.#unlock?.()
    this.#unlock = undefined
  }

  #journalFile(): string {
    return path.join(this.#folder, `_tail-${this.#prefix}${paddedNumber(this.#number)}.jsonl`)
  }

  #opened(): IndexDescription {
    if (this.#description) return this.#description
    throw new InvalidArgumentError('the sink is used before open()')
  }
}

/** In the order in which they were written. */
export function partFiles(files: readonly string[]): string[] {
  return files.filter((file) => /^part-(?:\d+-of-\d+-)?\d+\.parquet$/.test(file)).sort()
}

/** Undefined where existing is none. */
export async function readDescription(file: string): Promise<IndexDescription | undefined> {
  const content = await readFile(file, 'utf8').catch((failure) => {
    if (failure.code === 'ENOENT') return undefined
    throw fileError(file, failure)
  })
  if (content === undefined) return undefined
  try {
    return JSON.parse(content) as IndexDescription
  } catch (cause) {
    throw new SourceError(`${file} is not the JSON that cosmos-embed index writes`, { cause })
  }
}

function paddedNumber(number: number): string {
  return `${number}`.padStart(6, '0')
}
