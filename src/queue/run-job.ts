/** Embeds the items of one job, and says what is to become of the job. */
import type { Job } from 'bullmq'
import { buildIndex, type IndexOptions, type IndexTally } from '../bulk/build.ts'
import type { Failure } from '../bulk/failures.ts'
import { planRow } from '../bulk/planned-item.ts'
import { sinkForJob } from '../bulk/shared-destination.ts'
import type { IndexDescription, IndexedItem, VectorSink } from '../bulk/sink.ts'
import type { IndexSource } from '../bulk/sources.ts'
import { InvalidArgumentError } from '../errors.ts'
import type { Embedder } from '../types.ts'
import { type JobData, type JobRow, parseJob } from './job.ts'

/** Items in progress at one time in all jobs of a worker. */
const CONCURRENCY = 64

export interface RunJobOptions extends Pick<IndexOptions, 'retries' | 'backoffSeconds' | 'onFailure'> {
  out?: string | undefined
  concurrency?: number | undefined
  /** Jobs in progress at one time, which share `concurrency`. */
  jobs: number
  /** Aborted when the job belongs to another worker. */
  signal: AbortSignal
  /** Whether no further item may begin. */
  isEnding: () => boolean
  onProgress: (tally: IndexTally) => void
}

export type JobOutcome =
  /** Every item is in the index. */
  | { kind: 'done' }
  /** Some items failed. `data` has only those. */
  | { kind: 'failed'; data: JobData; retryable: boolean; message: string }
  /** The worker is stopping. `data` has the items that are left. */
  | { kind: 'stopped'; data: JobData }
  /** The worker cannot go on, and the job is as it was. */
  | { kind: 'ended'; failure: unknown; data?: undefined }
  /** The job is none that this version understands. */
  | { kind: 'broken'; message: string }
  /** The job belongs to another worker. */
  | { kind: 'lost' }

export async function runJob(embedder: Embedder, job: Job, options: RunJobOptions): Promise<JobOutcome> {
  const { signal, isEnding, concurrency = CONCURRENCY, jobs, retries, backoffSeconds } = options
  const data = parseJob(job.data)
  if (!data) return { kind: 'broken', message: 'this version of cosmos-embed does not understand the job' }
  const { index, rows } = data
  const wrongRule = ruleFailure(embedder, data)
  if (wrongRule) return { kind: 'ended', failure: wrongRule }

  const failures = new Map<string, Failure>()
  // What failed for good in an earlier try of this job is not tried again.
  for (const failure of data.failures) if (!failure.retryable) failures.set(failure.key, failure)
  const wanted = rows.filter(({ id }) => !failures.has(id))
  try {
    const destination = { out: options.out ?? index.out, table: index.table }
    const ids = wanted.map(({ id }) => id)
    const sink = new TrackingSink(sinkForJob(destination, job.id as string, ids))
    await buildIndex(embedder, [sourceOf(wanted, isEnding)], sink, {
      windows: index.windows ?? undefined,
      frameTolerance: index.frameTolerance,
      columns: index.columns,
      concurrency: Math.max(1, Math.ceil(concurrency / jobs)),
      retries,
      backoffSeconds,
      signal,
      onFailure: async (key, failure) => {
        const { code, message, retryable } = failure
        failures.set(key, { key, code, message, retryable })
        await options.onFailure?.(key, failure)
      },
      onProgress: options.onProgress,
    })
    return outcomeOf(data, sink.stored, failures)
  } catch (failure) {
    return signal.aborted ? { kind: 'lost' } : { kind: 'ended', failure }
  }
}

/** A worker with another frame rule would make vectors that do not compare with those of the index. */
function ruleFailure(embedder: Embedder, { index }: JobData): InvalidArgumentError | undefined {
  const { frameRule } = embedder.info().model
  if (frameRule === index.frameRule) return undefined
  return new InvalidArgumentError(
    `the jobs of the queue are for the frame rule "${index.frameRule}", and this worker has "${frameRule}": start it with the same`,
  )
}

function sourceOf(rows: readonly JobRow[], isEnding: () => boolean): IndexSource {
  return {
    name: 'job',
    async *items() {
      for (const row of rows) {
        if (isEnding()) return
        yield planRow(row, '.', row.id)
      }
    },
  }
}

function outcomeOf(
  data: JobData,
  stored: ReadonlySet<string>,
  failures: ReadonlyMap<string, Failure>,
): JobOutcome {
  const rows = data.rows.filter(({ id }) => !stored.has(id))
  if (rows.length === 0) return { kind: 'done' }
  const left = { ...data, rows, failures: rows.flatMap(({ id }) => failures.get(id) ?? []) }
  if (left.failures.length < rows.length) return { kind: 'stopped', data: left }
  const [first] = left.failures as [Failure]
  return {
    kind: 'failed',
    data: left,
    retryable: left.failures.some(({ retryable }) => retryable),
    message: `${rows.length} items failed, ${first.key} with ${first.code}: ${first.message}`,
  }
}

/** Remembers which items the sink holds. */
class TrackingSink implements VectorSink {
  readonly stored = new Set<string>()
  readonly #sink: VectorSink

  constructor(sink: VectorSink) {
    this.#sink = sink
  }

  open(description: IndexDescription): Promise<void> {
    return this.#sink.open(description)
  }

  async *held(): AsyncGenerator<string, void, undefined> {
    for await (const id of this.#sink.held()) {
      this.stored.add(id)
      yield id
    }
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    await this.#sink.write(items)
    for (const { id } of items) this.stored.add(id)
  }

  close(): Promise<void> {
    return this.#sink.close()
  }
}
