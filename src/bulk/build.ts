/** Builds an index: embeds what the sources have and the destination lacks, and resumes where an earlier run ended. */
import { onAbort } from '../base/abort.ts'
import { VERSION } from '../base/version.ts'
import { DEFAULT_CONCURRENCY, ItemStream } from '../call/item-stream.ts'
import { type CosmosEmbedError, InvalidRequestError } from '../errors.ts'
import { shotsOf } from '../request/segment-rule.ts'
import type { Embedder, ShotOptions } from '../types.ts'
import { ColumnSurvey, type Columns } from './columns.ts'
import { type EmbeddedItem, embedItem } from './embed-item.ts'
import type { Planned, PlannedItem } from './planned-item.ts'
import { openS3, parseS3Location } from './s3.ts'
import { type Shard, shardOf } from './shard.ts'
import type { IndexDescription, VectorSink } from './sink.ts'
import type { IndexSource } from './sources.ts'

export interface IndexOptions {
  /** Seconds that a sampled frame may move to one that is cheaper to decode, ≥ 0. Default 0. */
  frameTolerance?: number | undefined
  /**
   * One vector per window or shot instead of one per video. `seconds` is the length of a window, `stride` the distance
   * between the starts of two (default: `seconds`). `shots` is the option of `segments`.
   */
  windows?: { seconds: number; stride?: number | undefined } | { shots: true | ShotOptions } | undefined
  /** Embeds only the items of this shard; see {@link shardOf}. Default: all items. */
  shard?: Shard | undefined
  /**
   * Further columns of the index with their types. Default: those of the sources, as {@link survey} finds them. Give them if the
   * sources are only a part of what the index will hold.
   */
  columns?: Columns | undefined
  /** Items in progress at one time, ≥ 1. Default 64; with `windows`, `info().limits.decodeConcurrency` + 1. */
  concurrency?: number | undefined
  /** How often an item is retried after an error whose `retryable` is true. Default 3. */
  retries?: number | undefined
  /** Seconds before the first retry, doubled for each further one up to 60, with jitter. Default 1. */
  backoffSeconds?: number | undefined
  /** Ends the run, which then rejects with the signal's reason. What was embedded so far is kept. */
  signal?: AbortSignal | undefined
  /** Called once the sources are surveyed and the sink is open, before anything is embedded. */
  onStart?: (() => void | Promise<void>) | undefined
  /** Called for each item that could not be embedded. `key` is its id, or the position of a row without one. */
  onFailure?: ((key: string, failure: CosmosEmbedError) => void | Promise<void>) | undefined
  /** Called with the progress of the run after every item. */
  onProgress?: ((tally: IndexTally) => void) | undefined
}

/** Progress of a run. */
export interface IndexTally {
  /** Items in the sources that belong to this shard, including repeated ones. */
  total: number
  /** Items that this run added to the index. */
  embedded: number
  /** Rows (vectors) of the embedded items. */
  rows: number
  /** Items that were already in the index. */
  skipped: number
  /** Items that occur more than once in the sources. */
  repeated: number
  failed: number
  /** Bytes of media read. */
  bytes: number
  /** Items in the index that this run has not found in its sources so far. */
  unmet: number
}

/** Contents of the sources. */
export interface Survey {
  /** Items that belong to the shard, including `bad`. */
  total: number
  /** Rows that describe no item. */
  bad: number
  /** Further columns of the manifests, with their types. */
  columns: Columns
}

/** Results are written in batches of at most this many items, and no result waits longer than this. */
const BATCH = 64
const BATCH_MS = 1000

/**
 * Reads all sources once, without embedding anything: counts the items and infers the types of further columns. Rejects
 * with the reason of the signal, with InvalidArgumentError for a column name that the index itself uses or a missing peer
 * package, and with whatever a source throws.
 */
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
      // Reports a missing package once, before anything is embedded, instead of for every item.
      if (planned.uri !== null && parseS3Location(planned.uri)) await openS3()
    }
    if (!isInShard(planned, shard)) continue
    found.total++
    if ('problem' in planned) found.bad++
  }
  return { ...found, columns: columns.columns() }
}

/**
 * Embeds the items of the sources that the sink does not hold yet, and writes their vectors. An item that fails is passed to
 * `onFailure` and left out of the index. A run that was stopped resumes when it is started again with the same arguments.
 *
 * Rejects with the reason of the signal, and with failures that end the run: of a source or the sink, DeviceLostError, and
 * InvalidArgumentError if the sink holds vectors that do not compare with these.
 *
 * ```ts
 * await using embedder = await createEmbedder({ model })
 * await using opened = await openSources(['clips'])
 * const { embedded, failed } = await buildIndex(embedder, opened.sources, parquetSink('index'))
 * ```
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
  const description = describe(embedder, options.columns ?? found.columns, options)
  await sink.open(description)
  let run: Run
  try {
    await options.onStart?.()
    run = new Run({ embedder, sources, sink, options, description, total: found.total, signal })
    await run.finish()
  } catch (failure) {
    // What was written stays; the first failure is the one to report.
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
    windows: windows ? resolveWindows(windows) : null,
    columns,
  }
}

/** Fills in the defaults. */
export function resolveWindows(
  windows: NonNullable<IndexOptions['windows']>,
): NonNullable<IndexDescription['windows']> {
  if ('shots' in windows) return { shots: shotsOf(windows.shots === true ? {} : windows.shots) }
  return { seconds: windows.seconds, stride: windows.stride ?? windows.seconds }
}

interface RunOptions {
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
  readonly #parts: RunOptions
  /** Known ids: true once found in the sources, false if so far only in the index. */
  readonly #seen = new Map<string, boolean>()
  #batch: EmbeddedItem[] = []
  /** Begins when a batch has its first item. */
  #timer: NodeJS.Timeout | undefined
  /** Ends with the last write that was begun. */
  #written: Promise<void> = Promise.resolve()

  constructor(parts: RunOptions) {
    this.#parts = parts
    const { total } = parts
    this.tally = { total, embedded: 0, rows: 0, skipped: 0, repeated: 0, failed: 0, bytes: 0, unmet: 0 }
  }

  async finish(): Promise<void> {
    const { embedder, sink, options, description, signal } = this.#parts
    const { shard, concurrency = this.#defaultConcurrency(), retries = 3, backoffSeconds = 1 } = options
    for await (const id of sink.held()) {
      if (!shard || shardOf(id, shard.count) === shard.index) this.#seen.set(id, false)
    }
    this.tally.unmet = this.#seen.size
    const controller = new AbortController()
    const forget = onAbort(signal, () => controller.abort(signal.reason))
    const call = { signal: controller.signal, fail: (reason: unknown) => controller.abort(reason) }
    const itemOptions = { embedder, description, retries, backoffSeconds, signal: controller.signal }
    const stream = new ItemStream(call, this.#itemsToEmbed(), (item) => embedItem(item, itemOptions), {
      concurrency,
      ordered: false,
    })
    try {
      for await (const result of stream.results()) await this.#collect(result, call.fail)
      await this.#write()
    } catch (failure) {
      // Keeps the vectors at hand, unless the sink is what failed.
      await this.#write().catch(() => {})
      throw failure
    } finally {
      forget()
    }
  }

  /** With windows, an item keeps its decoder and the decoder's memory until its last window, so fewer run at once. */
  #defaultConcurrency(): number {
    const { embedder, description } = this.#parts
    return description.windows ? embedder.info().limits.decodeConcurrency + 1 : DEFAULT_CONCURRENCY
  }

  /** The items that are not in the index yet. */
  async *#itemsToEmbed(): AsyncGenerator<PlannedItem, void, undefined> {
    const { shard } = this.#parts.options
    for await (const planned of plannedItems(this.#parts.sources)) {
      if (!isInShard(planned, shard)) continue
      if ('problem' in planned) {
        await this.#fail(planned.key, planned.problem)
        continue
      }
      const seen = this.#seen.get(planned.id)
      this.#seen.set(planned.id, true)
      if (seen === undefined) yield planned
      else if (seen) await this.#repeat(planned)
      else {
        this.tally.skipped++
        this.tally.unmet--
        this.#reportProgress()
      }
    }
  }

  /** Two sources may lead to the same file. Two rows of a manifest with one id are an error. */
  async #repeat({ id, named }: PlannedItem): Promise<void> {
    if (named)
      await this.#fail(id, new InvalidRequestError('the id occurs more than once: the first item was taken'))
    else {
      this.tally.repeated++
      this.#reportProgress()
    }
  }

  async #collect(
    result: Awaited<ReturnType<typeof embedItem>>,
    fail: (reason: unknown) => void,
  ): Promise<void> {
    if ('failure' in result) {
      await this.#fail(result.id, result.failure)
      return
    }
    this.#batch.push(result)
    if (this.#batch.length >= BATCH) await this.#write()
    else this.#timer ??= setTimeout(() => this.#write().catch(fail), BATCH_MS)
  }

  /** Writes follow each other. After one that failed there are no more. */
  #write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#written = this.#written.then(() => this.#writeBatch())
    return this.#written
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    if (batch.length > 0) await this.#parts.sink.write(batch.map(({ id, rows }) => ({ id, rows })))
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

/** The rows of all sources, one source after the other. */
export async function* plannedItems(
  sources: readonly IndexSource[],
): AsyncGenerator<Planned, void, undefined> {
  for (const source of sources) yield* source.items()
}

/** Whether a row belongs to the shard; without a shard, every row does. */
export function isInShard(planned: Planned, shard: Shard | undefined): boolean {
  if (!shard) return true
  return shardOf('problem' in planned ? planned.key : planned.id, shard.count) === shard.index
}
