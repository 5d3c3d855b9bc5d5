/** One run: from sources to a destination, from where the last run was. */
import { onAbort } from '../base/abort.ts'
import { type CosmosEmbedError, InvalidRequestError } from '../errors.ts'
import { DEFAULT_CONCURRENCY, ItemStream } from '../call/item-stream.ts'
import type { Embedder } from '../types.ts'
import { VERSION } from '../base/version.ts'
import { ColumnSurvey, type Columns } from './columns.ts'
import { type EmbeddedItem, embedItem } from './embed-item.ts'
import type { Planned, PlannedItem } from './planned-item.ts'
import { objectPlace, openS3 } from './s3.ts'
import { type Shard, shardOf } from './shard.ts'
import type { IndexDescription, VectorSink } from './sink.ts'
import type { IndexSource } from './sources.ts'

export interface IndexOptions {
  /** Seconds that a wanted frame may move to a cheaper one. Default 0. */
  frameTolerance?: number | undefined
  /** One vector per window instead of one per video. `stride`: default `seconds`. */
  windows?: { seconds: number; stride?: number | undefined } | undefined
  /** Only the items whose ids fall into this share. */
  shard?: Shard | undefined
  /** Items that are worked on at one time. Default 64; with windows one more than are decoded at one time. */
  concurrency?: number | undefined
  /** Further tries for what may succeed later. Default 3. */
  retries?: number | undefined
  /** Seconds before the second try; each further one waits twice as long. Default 1. */
  backoffSeconds?: number | undefined
  signal?: AbortSignal | undefined
  /** The sources have been looked through, the destination is open, and nothing has been embedded yet. */
  onStart?: (() => void | Promise<void>) | undefined
  /** Told of each item that could not be embedded, before the next is dealt with. */
  onFailure?: ((key: string, failure: CosmosEmbedError) => void | Promise<void>) | undefined
  /** Told how far the run is, after every item. */
  onProgress?: ((tally: IndexTally) => void) | undefined
}

/** How far a run is. */
export interface IndexTally {
  /** Items of the sources, repeated ones too; those of this shard. */
  total: number
  /** Items that are in the index by this run. */
  embedded: number
  /** Rows of them. */
  rows: number
  /** Items that were in it before. */
  skipped: number
  /** Items that came a second time. */
  repeated: number
  failed: number
  /** That were read of media. */
  bytes: number
  /** Items of the index that the run has not met in its sources, at least not yet. */
  unmet: number
}

/** What the sources hold. They are read once for it. */
export interface Survey {
  total: number
  bad: number
  columns: Columns
}

/** Results are handed to the sink together, this many at the most, and no longer than this apart. */
const BATCH = 64
const BATCH_MS = 1000

export async function survey(
  sources: readonly IndexSource[],
  { shard, signal }: Pick<IndexOptions, 'shard' | 'signal'> = {},
): Promise<Survey> {
  const columns = new ColumnSurvey()
  const found = { total: 0, bad: 0 }
  for await (const planned of plannedItems(sources)) {
    signal?.throwIfAborted()
    if ('carried' in planned) {
      columns.add(planned.carried)
      // Before anything is embedded, and not once for every item: that a package is missing.
      if (planned.uri !== null && objectPlace(planned.uri)) await openS3()
    }
    if (!isInShard(planned, shard)) continue
    found.total++
    if ('problem' in planned) found.bad++
  }
  return { ...found, columns: columns.columns() }
}

/**
 * Embeds what the sources have and the sink has not. An item that fails is told of and left out. Rejects with the reason of
 * the signal, and with whatever stops the run as a whole: a source or a sink that fails, a device that is lost. Started again,
 * it goes on.
 */
export async function buildIndex(
  embedder: Embedder,
  sources: readonly IndexSource[],
  sink: VectorSink,
  options: IndexOptions = {},
): Promise<IndexTally> {
  const { signal = new AbortController().signal } = options
  signal.throwIfAborted()
  const found = await survey(sources, options)
  const description = describe(embedder, found.columns, options)
  await sink.open(description)
  let run: Run
  try {
    await options.onStart?.()
    run = new Run({ embedder, sources, sink, options, description, total: found.total, signal })
    await run.finish()
  } catch (failure) {
    // What has been written stays, and the first failure is the one to tell of.
    await sink.close().catch(() => {})
    throw failure
  }
  await sink.close()
  return run.tally
}

function describe(embedder: Embedder, columns: Columns, options: IndexOptions): IndexDescription {
  const { model } = embedder.info()
  const { frameTolerance = 0, windows } = options
  const { id, fingerprint, embeddingDim } = model
  return {
    version: VERSION,
    model: { id, fingerprint, embeddingDim },
    frameRule: model.frameRule,
    frameTolerance,
    windows: windows ? { seconds: windows.seconds, stride: windows.stride ?? windows.seconds } : null,
    columns,
  }
}

interface RunParts {
  embedder: Embedder
  sources: readonly IndexSource[]
  sink: VectorSink
  options: IndexOptions
  description: IndexDescription
  total: number
  signal: AbortSignal
}

class Run {
  readonly tally: IndexTally
  readonly #parts: RunParts
  /** By id: whether the item has been met in the sources, and else it is only in the index. */
  readonly #met = new Map<string, boolean>()
  #batch: EmbeddedItem[] = []
  #lastWrite = performance.now()

  constructor(parts: RunParts) {
    this.#parts = parts
    const { total } = parts
    this.tally = { total, embedded: 0, rows: 0, skipped: 0, repeated: 0, failed: 0, bytes: 0, unmet: 0 }
  }

  async finish(): Promise<void> {
    const { embedder, sink, options, description, signal } = this.#parts
    const { shard, concurrency = this.#defaultConcurrency(), retries = 3, backoffSeconds = 1 } = options
    for await (const id of sink.held()) {
      if (!shard || shardOf(id, shard.count) === shard.index) this.#met.set(id, false)
    }
    this.tally.unmet = this.#met.size
    const controller = new AbortController()
    const forget = onAbort(signal, () => controller.abort(signal.reason))
    const call = { signal: controller.signal, fail: (reason: unknown) => controller.abort(reason) }
    const way = { embedder, description, retries, backoffSeconds, signal: controller.signal }
    const stream = new ItemStream(call, this.#itemsToEmbed(), (item) => embedItem(item, way), {
      concurrency,
      ordered: false,
    })
    try {
      for await (const result of stream.results()) await this.#collect(result)
      await this.#write()
    } catch (failure) {
      // What is there is worth keeping, unless the sink is what failed.
      if (this.#batch.length > 0) await this.#write().catch(() => {})
      throw failure
    } finally {
      forget()
    }
  }

  /** A pass over a video keeps its decoder, with all that it holds, until the last window. */
  #defaultConcurrency(): number {
    const { embedder, description } = this.#parts
    return description.windows ? embedder.info().limits.decodeConcurrency + 1 : DEFAULT_CONCURRENCY
  }

  /** Items that are not in the index. */
  async *#itemsToEmbed(): AsyncGenerator<PlannedItem, void, undefined> {
    const { shard } = this.#parts.options
    for await (const planned of plannedItems(this.#parts.sources)) {
      if (!isInShard(planned, shard)) continue
      if ('problem' in planned) {
        await this.#fail(planned.key, planned.problem)
        continue
      }
      const met = this.#met.get(planned.id)
      this.#met.set(planned.id, true)
      if (met === undefined) yield planned
      else if (met) await this.#repeat(planned)
      else {
        this.tally.skipped++
        this.tally.unmet--
        this.#reportProgress()
      }
    }
  }

  /** The same file may be reached by two sources. Two rows of a manifest with one id are a mistake. */
  async #repeat({ id, named }: PlannedItem): Promise<void> {
    if (named)
      await this.#fail(id, new InvalidRequestError('the id is there more than once: the first was taken'))
    else {
      this.tally.repeated++
      this.#reportProgress()
    }
  }

  async #collect(result: Awaited<ReturnType<typeof embedItem>>): Promise<void> {
    if ('failure' in result) {
      await this.#fail(result.id, result.failure)
      return
    }
    this.#batch.push(result)
    const due = performance.now() - this.#lastWrite >= BATCH_MS
    if (due || this.#batch.length >= BATCH) await this.#write()
  }

  async #write(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    if (batch.length > 0) await this.#parts.sink.write(batch.map(({ id, rows }) => ({ id, rows })))
    this.#lastWrite = performance.now()
    for (const { rows, bytes } of batch) {
      this.tally.embedded++
      this.tally.rows += rows.length
      this.tally.bytes += bytes
    }
    this.#reportProgress()
  }

  async #fail(key: string, failure: CosmosEmbedError): Promise<void> {
    this.tally.failed++
    await this.#parts.options.onFailure?.(key, failure)
    this.#reportProgress()
  }

  #reportProgress(): void {
    this.#parts.options.onProgress?.({ ...this.tally })
  }
}

async function* plannedItems(sources: readonly IndexSource[]): AsyncGenerator<Planned, void, undefined> {
  for (const source of sources) yield* source.items()
}

function isInShard(planned: Planned, shard: Shard | undefined): boolean {
  if (!shard) return true
  return shardOf('problem' in planned ? planned.key : planned.id, shard.count) === shard.index
}
