/** An index as a folder of Parquet parts. */
import { mkdir, readdir, readFile, realpath, unlink } from 'node:fs/promises'
import path from 'node:path'
import { acquireProcessLock } from '../base/process-lock.ts'
import { InvalidArgumentError, SourceError } from '../errors.ts'
import { agree } from './description.ts'
import { syncFolder, writeNew, writeWhole } from './durable.ts'
import { named, naming, unrepeated } from './files.ts'
import { encodePart, loadReader, loadWriter, readRows } from './parquet.ts'
import type { Shard } from './shard.ts'
import type { IndexDescription, IndexedItem, VectorSink } from './sink.ts'
import { Tail } from './tail.ts'

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
 * is there has nothing to say. Readers of folders leave alone what begins with `_`.
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
  #letGo: (() => Promise<void>) | undefined
  #tail: Tail | undefined
  #waiting: IndexedItem[] = []
  #waitingRows = 0
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
      await naming(this.#folder, async () => {
        await mkdir(this.#folder, { recursive: true })
        this.#letGo = await acquireProcessLock(`index-${this.#prefix}`, await realpath(this.#folder))
        if (!this.#letGo) throw new InvalidArgumentError(`${this.#folder}: another process is writing to it`)
        await this.#describe(wanted)
        await this.#clean()
      })
    } catch (failure) {
      await this.#release()
      throw failure
    }
  }

  held(): AsyncIterable<string> {
    return unrepeated(this.#ids())
  }

  async *#ids(): AsyncGenerator<string, void, undefined> {
    const { windows } = this.#opened()
    const column = windows ? 'item' : 'id'
    for (const file of partsAmong(await readdir(this.#folder))) {
      try {
        for await (const row of readRows(path.join(this.#folder, file), [column])) yield row[column] as string
      } catch (failure) {
        throw named(path.join(this.#folder, file), failure)
      }
    }
    for (const { id } of this.#waiting) yield id
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    await naming(this.#tailFile(), async () => {
      this.#tail ??= (await Tail.open(this.#tailFile())).tail
      await this.#tail.append(items)
    })
    this.#add(items)
    if (this.#waitingRows >= this.#partRows) await this.#writePart()
  }

  async close(): Promise<void> {
    try {
      if (this.#waitingRows > 0) await this.#writePart()
    } finally {
      await this.#release()
    }
  }

  async #describe(wanted: IndexDescription): Promise<void> {
    const file = path.join(this.#folder, '_index.json')
    const there = await readDescription(file)
    if (!there && partsAmong(await readdir(this.#folder)).length > 0) {
      throw new InvalidArgumentError(
        `${this.#folder} has parts but no _index.json, so what their vectors are is not known: choose another destination`,
      )
    }
    // Another shard may be the first in the same moment.
    if (!there) await writeNew(file, `${JSON.stringify(wanted, null, 2)}\n`)
    this.#description = there ?? (await readDescription(file)) ?? wanted
    agree(this.#description, wanted, this.#folder)
  }

  /** Takes up what an earlier run has left. */
  async #clean(): Promise<void> {
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
    for (const file of files) await this.#takeUpTail(file)
  }

  async #takeUpTail(file: string): Promise<void> {
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
    const { tail, items } = await Tail.open(whole)
    this.#tail = tail
    this.#add(items)
  }

  #add(items: readonly IndexedItem[]): void {
    this.#waiting.push(...items)
    for (const { rows } of items) this.#waitingRows += rows.length
  }

  async #writePart(): Promise<void> {
    const file = path.join(this.#folder, `part-${this.#prefix}${numbered(this.#number)}.parquet`)
    await naming(file, async () => {
      await writeWhole(file, await encodePart(this.#waiting, this.#opened()))
      await this.#tail?.close()
      this.#tail = undefined
      await unlink(this.#tailFile())
      await syncFolder(this.#folder)
    })
    this.#number++
    this.#waiting = []
    this.#waitingRows = 0
  }

  async #release(): Promise<void> {
    await this.#tail?.close()
    this.#tail = undefined
    await this.#letGo?.()
    this.#letGo = undefined
  }

  #tailFile(): string {
    return path.join(this.#folder, `_tail-${this.#prefix}${numbered(this.#number)}.jsonl`)
  }

  #opened(): IndexDescription {
    if (this.#description) return this.#description
    throw new InvalidArgumentError('the sink is used before open()')
  }
}

/** In the order in which they were written. */
export function partsAmong(files: readonly string[]): string[] {
  return files.filter((file) => /^part-(?:\d+-of-\d+-)?\d+\.parquet$/.test(file)).sort()
}

/** Undefined where there is none. */
export async function readDescription(file: string): Promise<IndexDescription | undefined> {
  const content = await readFile(file, 'utf8').catch((failure) => {
    if (failure.code === 'ENOENT') return undefined
    throw named(file, failure)
  })
  if (content === undefined) return undefined
  try {
    return JSON.parse(content) as IndexDescription
  } catch (cause) {
    throw new SourceError(`${file} is not the JSON that cosmos-embed index writes`, { cause })
  }
}

function numbered(number: number): string {
  return `${number}`.padStart(6, '0')
}
