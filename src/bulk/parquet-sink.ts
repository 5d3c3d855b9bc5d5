/** The sink for a folder of Parquet parts. */
import { mkdir, readdir, readFile, realpath, unlink } from 'node:fs/promises'
import path from 'node:path'
import { acquireProcessLock } from '../base/process-lock.ts'
import { InvalidArgumentError, SourceError } from '../errors.ts'
import { agree } from './description.ts'
import { syncFolder, writeAtomically, writeIfAbsent } from './durable.ts'
import { fileError, skipRepeats, withFileErrors } from './files.ts'
import { encodePart, loadReader, loadWriter, readRows } from './parquet.ts'
import { PartJournal } from './part-journal.ts'
import type { Shard } from './shard.ts'
import type { IndexDescription, IndexedItem, VectorSink } from './sink.ts'

/** File of the folder that describes its vectors. */
export const DESCRIPTION = '_index.json'

/** Options of {@link parquetSink}. */
export interface ParquetSinkOptions {
  /**
   * Rows after which a part is written, ≥ 1. Default 10,000. A part has more if the last video has several windows, and the
   * last part of a run may have fewer.
   */
  partRows?: number
  /** Lets several processes fill one folder, each with parts of its own. Default: one process. */
  shard?: Shard | undefined
}

/**
 * A sink that writes a folder of Parquet files:
 *
 * ```
 * _index.json             description of the index
 * part-000001.parquet     rows; with a shard: part-2-of-8-000001.parquet
 * _tail-000002.jsonl      journal of rows that will become part 2
 * ```
 *
 * A part is written under a temporary name and renamed, then its journal is removed; a journal whose part exists is
 * obsolete. Most readers of Parquet folders ignore names that begin with `_`.
 *
 * Needs the packages `hyparquet-writer`, `hyparquet` and `hyparquet-compressors`. `open` rejects with InvalidArgumentError if
 * one is missing, if another process writes the same shard, or if the folder is not an index that this run may add to.
 */
export function parquetSink(folder: string, options: ParquetSinkOptions = {}): VectorSink {
  return new ParquetSink(folder, options)
}

class ParquetSink implements VectorSink {
  readonly #folder: string
  readonly #partRows: number
  /** Precedes the number in the names of this shard's parts. */
  readonly #prefix: string
  #description: IndexDescription | undefined
  #unlock: (() => Promise<void>) | undefined
  #journal: PartJournal | undefined
  #pendingItems: IndexedItem[] = []
  #pendingRows = 0
  /** Number of the next part. */
  #number = 1

  constructor(folder: string, { partRows = 10_000, shard }: ParquetSinkOptions) {
    this.#folder = folder
    this.#partRows = partRows
    this.#prefix = shard ? `${shard.index}-of-${shard.count}-` : ''
  }

  async open(wanted: IndexDescription): Promise<void> {
    // Reports missing packages before anything is embedded.
    await loadWriter()
    await loadReader()
    try {
      await withFileErrors(this.#folder, async () => {
        await mkdir(this.#folder, { recursive: true })
        this.#unlock = await acquireProcessLock(`index-${this.#prefix}`, await realpath(this.#folder))
        if (!this.#unlock) throw new InvalidArgumentError(`${this.#folder}: another process is writing to it`)
        this.#description = await describeFolder(this.#folder, wanted)
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
    const files = partFiles(await readdir(this.#folder))
    for (const file of files) yield* partIds(path.join(this.#folder, file), this.#opened())
    for (const { id } of this.#pendingItems) yield id
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    await withFileErrors(this.#journalFile(), async () => {
      this.#journal ??= (await PartJournal.open(this.#journalFile())).journal
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

  /** Removes incomplete parts of an earlier run and recovers its journal. */
  async #recover(): Promise<void> {
    const files = await readdir(this.#folder)
    const partOfShard = new RegExp(`^part-${this.#prefix}(\\d+)\\.parquet$`)
    const numbers = files.flatMap((file) => Number(partOfShard.exec(file)?.[1] ?? []))
    this.#number = Math.max(0, ...numbers) + 1
    const partials = files.filter(
      (file) => file.startsWith(`part-${this.#prefix}`) && file.endsWith('.partial'),
    )
    for (const file of partials) {
      if (partOfShard.test(file.slice(0, -'.partial'.length))) await unlink(path.join(this.#folder, file))
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
    const journalFile = path.join(this.#folder, file)
    if (Number(digits) !== this.#number) {
      await unlink(journalFile)
      return
    }
    const { journal, items } = await PartJournal.open(journalFile)
    this.#journal = journal
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
    throw new InvalidArgumentError('the sink was used before open()')
  }
}

/**
 * Creates the description of an index in a folder, or reads the existing one. Rejects with InvalidArgumentError if the folder
 * holds vectors that do not compare with the wanted ones.
 */
export async function describeFolder(folder: string, wanted: IndexDescription): Promise<IndexDescription> {
  const file = path.join(folder, DESCRIPTION)
  let existing = await readDescription(file)
  if (!existing) {
    if (partFiles(await readdir(folder)).length > 0) {
      throw new InvalidArgumentError(
        `${folder} has parts but no _index.json that describes their vectors: choose another destination`,
      )
    }
    // Another process may create it at the same moment.
    await writeIfAbsent(file, `${JSON.stringify(wanted, null, 2)}\n`)
    existing = (await readDescription(file)) ?? wanted
  }
  agree(existing, wanted, folder)
  return existing
}

/** Yields the id of the item of each row of a part. */
export async function* partIds(
  file: string,
  { windows }: IndexDescription,
): AsyncGenerator<string, void, undefined> {
  const column = windows ? 'item' : 'id'
  try {
    for await (const row of readRows(file, [column])) yield row[column] as string
  } catch (failure) {
    throw fileError(file, failure)
  }
}

/** The Parquet parts among `files`, in the order in which they were written by each process or job. */
export function partFiles(files: readonly string[]): string[] {
  return files.filter((file) => /^part-(?:(?:\d+-of-\d+|[0-9a-f]{32})-)?\d+\.parquet$/.test(file)).sort()
}

/** Name of the part that a journal becomes. */
export function partOf(journal: string): string {
  return journal.replace('_tail-', 'part-').replace(/\.jsonl$/, '.parquet')
}

/** Reads the description of an index; undefined if the file does not exist. */
export async function readDescription(file: string): Promise<IndexDescription | undefined> {
  const content = await readFile(file, 'utf8').catch((failure) => {
    if (failure.code === 'ENOENT') return undefined
    throw fileError(file, failure)
  })
  if (content === undefined) return undefined
  try {
    return JSON.parse(content) as IndexDescription
  } catch (cause) {
    throw new SourceError(`${file} is not JSON as cosmos-embed index writes it`, { cause })
  }
}

/** The number of a part as its name has it. */
export function paddedNumber(number: number): string {
  return `${number}`.padStart(6, '0')
}
