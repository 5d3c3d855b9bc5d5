/** The producer: puts the items that an index lacks into the queue, some hundred per job. */
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Queue } from 'bullmq'
import { type IndexOptions, isInShard, plannedItems, resolveWindows, survey } from '../bulk/build.ts'
import { kindOf } from '../bulk/destination.ts'
import type { PlannedItem } from '../bulk/planned-item.ts'
import { checkShared, heldIn, type SharedDestination } from '../bulk/shared-destination.ts'
import type { IndexSource } from '../bulk/sources.ts'
import { type CosmosEmbedError, InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import type { NamedFrameRule } from '../request/frame-rule.ts'
import { connectQueue, type QueueAddress, withQueueErrors } from './connection.ts'
import { JOB_NAME, type JobData, type JobPlan, type JobRow, jobId, rowOf } from './job.ts'

/** Options of {@link enqueueIndex}. */
export interface EnqueueOptions
  extends Pick<IndexOptions, 'frameTolerance' | 'windows' | 'shard' | 'signal' | 'onFailure'> {
  /** The queue. */
  queue: QueueAddress
  /** Folder for Parquet parts that all workers see under the same path, or `postgres://…`. A password in it is left out of the jobs. */
  out: string
  /** Table in PostgreSQL. Default `cosmos_embed`. */
  table?: string | undefined
  /** The frame rule that the workers must have. Default `card`. */
  frameRule?: NamedFrameRule | undefined
  /** Items per job, ≥ 1. Default 256. */
  jobItems?: number | undefined
  /** The producer waits while this many jobs wait in the queue, ≥ 1. Bounds the memory of Redis. Default 10,000. */
  maxJobs?: number | undefined
  /** How often a job is tried before it becomes a dead letter, ≥ 1. Default 3. */
  attempts?: number | undefined
  /** Seconds before the second try, doubled for each further one. Default 10. */
  backoffSeconds?: number | undefined
  /** Called with the progress after every job. */
  onProgress?: ((tally: EnqueueTally) => void) | undefined
}

/** Progress of {@link enqueueIndex}. */
export interface EnqueueTally {
  /** Items in the sources that belong to the shard. */
  total: number
  /** Items put into the queue, and the jobs that they make. */
  enqueued: number
  jobs: number
  /** Items that were already in the index or in the queue. */
  skipped: number
  /** Items that occur more than once in the sources. */
  repeated: number
  /** Rows that describe no item. */
  failed: number
}

const POLL_MS = 500

/**
 * Puts the items of the sources into a queue, without those that the index or the queue holds already. Workers
 * ({@link startWorker}) embed them. It loads no model. If it was stopped, run it again with the same arguments.
 *
 * Two producers may run at the same time if no item is in the sources of both, as with different shards.
 *
 * Rejects with the reason of the signal, with InvalidArgumentError for a destination that several workers cannot write or a
 * missing peer package, and with SourceError if Redis or the destination cannot be reached.
 *
 * ```ts
 * await using opened = await openSources(['clips.csv'])
 * await enqueueIndex(opened.sources, { queue: { url: 'redis://localhost' }, out: '/shared/index' })
 * ```
 */
export async function enqueueIndex(
  sources: readonly IndexSource[],
  options: EnqueueOptions,
): Promise<EnqueueTally> {
  const { signal, queue: address } = options
  signal?.throwIfAborted()
  checkShared(options.out)
  const found = await survey(sources, options)
  const queue = await connectQueue(address)
  try {
    const producer = new Producer(queue, planOf(options, found.columns), options, found.total)
    return await producer.run(sources)
  } catch (failure) {
    signal?.throwIfAborted()
    throw failure
  } finally {
    await queue.close().catch(() => {})
  }
}

function planOf(options: EnqueueOptions, columns: JobPlan['columns']): JobPlan {
  const { table, windows, frameTolerance = 0, frameRule = 'card' } = options
  return {
    out: kindOf(options.out) === 'postgres' ? withoutPassword(options.out) : path.resolve(options.out),
    ...(table !== undefined && { table }),
    windows: windows ? resolveWindows(windows) : null,
    frameTolerance,
    frameRule,
    columns,
  }
}

/** Redis is no place for passwords: workers find theirs in PGPASSWORD, in ~/.pgpass, or in their own `out`. */
function withoutPassword(out: string): string {
  if (!URL.canParse(out)) throw new InvalidArgumentError('the destination postgres://… is not a valid URL')
  const url = new URL(out)
  url.password = ''
  url.searchParams.delete('password')
  return url.href
}

class Producer {
  readonly #queue: Queue<JobData>
  readonly #plan: JobPlan
  readonly #options: EnqueueOptions
  readonly #tally: EnqueueTally
  /** Known ids: true once found in the sources. */
  readonly #seen = new Map<string, boolean>()
  #rows: JobRow[] = []

  constructor(queue: Queue<JobData>, plan: JobPlan, options: EnqueueOptions, total: number) {
    this.#queue = queue
    this.#plan = plan
    this.#options = options
    this.#tally = { total, enqueued: 0, jobs: 0, skipped: 0, repeated: 0, failed: 0 }
  }

  async run(sources: readonly IndexSource[]): Promise<EnqueueTally> {
    const { queue, signal, shard, out, table, jobItems = 256 } = this.#options
    const destination: SharedDestination = { out, table }
    // The queue before the index: an item that leaves the queue meanwhile is in the index when that is read.
    await withQueueErrors(queue, () => this.#seeQueued())
    for await (const id of heldIn(destination, this.#plan)) this.#seen.set(id, false)
    for await (const planned of plannedItems(sources)) {
      signal?.throwIfAborted()
      if (!isInShard(planned, shard)) continue
      if ('problem' in planned) await this.#fail(planned.key, planned.problem)
      else await this.#take(planned)
      if (this.#rows.length >= jobItems) await this.#put()
    }
    if (this.#rows.length > 0) await this.#put()
    this.#options.onProgress?.({ ...this.#tally })
    return this.#tally
  }

  async #take(item: PlannedItem): Promise<void> {
    const seen = this.#seen.get(item.id)
    this.#seen.set(item.id, true)
    if (seen === undefined) this.#rows.push(rowOf(item, this.#plan.columns))
    else if (!seen) this.#tally.skipped++
    else if (item.named) {
      const message = 'the id occurs more than once: the first item was taken'
      await this.#fail(item.id, new InvalidRequestError(message))
    } else this.#tally.repeated++
  }

  async #put(): Promise<void> {
    const rows = this.#rows
    this.#rows = []
    const { queue, attempts = 3, backoffSeconds = 10, maxJobs = 10_000, signal } = this.#options
    const data: JobData = { format: 1, index: this.#plan, rows, failures: [] }
    await withQueueErrors(queue, async () => {
      while ((await this.#queue.getWaitingCount()) >= maxJobs) {
        await sleep(POLL_MS)
        signal?.throwIfAborted()
      }
      await this.#queue.add(JOB_NAME, data, {
        jobId: jobId(this.#plan, rows),
        attempts,
        backoff: { type: 'exponential', delay: backoffSeconds * 1000 },
        removeOnComplete: true,
      })
    })
    this.#tally.enqueued += rows.length
    this.#tally.jobs++
    this.#options.onProgress?.({ ...this.#tally })
  }

  /** Remembers the items of all jobs. Their ids are read at one moment, so that none slips through by changing its state. */
  async #seeQueued(): Promise<void> {
    const states = ['waiting', 'prioritized', 'delayed', 'active', 'failed'] as const
    const ids = await this.#queue.getRanges([...states], 0, -1)
    for (const id of ids) {
      this.#options.signal?.throwIfAborted()
      const job = await this.#queue.getJob(id)
      // A job without data has just been completed.
      for (const row of job?.data?.rows ?? []) this.#seen.set(row.id, false)
    }
  }

  async #fail(key: string, failure: CosmosEmbedError): Promise<void> {
    this.#tally.failed++
    await this.#options.onFailure?.(key, failure)
  }
}
