/** The worker: takes jobs from a queue and embeds their items. */
import type { Job, Worker } from 'bullmq'
import type { IndexOptions, IndexTally } from '../bulk/build.ts'
import { CosmosEmbedError, InvalidArgumentError } from '../errors.ts'
import type { Embedder } from '../types.ts'
import {
  connectionOptions,
  connectQueue,
  loadBullMq,
  type QueueAddress,
  queueName,
  withQueueErrors,
} from './connection.ts'
import type { JobData } from './job.ts'
import { type JobOutcome, runJob } from './run-job.ts'

/** Options of {@link startWorker}. */
export interface WorkerOptions
  extends Pick<IndexOptions, 'concurrency' | 'retries' | 'backoffSeconds' | 'onFailure'> {
  /** The queue. */
  queue: QueueAddress
  /** Destination instead of that of the jobs, such as the same `postgres://…` with a password. */
  out?: string | undefined
  /** Jobs in progress at one time, ≥ 1: with two, one begins while the other ends. Default 2. */
  jobs?: number | undefined
  /**
   * Seconds after which a job of a worker that gives no sign of life goes to another worker, ≥ 1. Default 60. A process that was
   * stopped for longer gives its jobs up when it goes on.
   */
  lockSeconds?: number | undefined
  /** Ends the worker when no job is left that it could still take. Default false: it waits for more. */
  exitWhenEmpty?: boolean | undefined
  /** Called with the sum over all jobs of this worker, after every item. `unmet` is 0. */
  onProgress?: ((tally: IndexTally) => void) | undefined
  /** Called when something went wrong that the worker survives, such as a lost connection to Redis. */
  onWarning?: ((message: string) => void) | undefined
}

/** A running worker. */
export interface IndexWorker {
  /**
   * Takes no further job and begins no further item. Items in progress end and are written; the rest of their jobs goes back to
   * the queue. Resolves like `finished`.
   */
  stop(): Promise<void>
  /**
   * Resolves when the worker has ended after `stop`, or because the queue is empty. Rejects with what ended it otherwise:
   * DeviceLostError, a destination that cannot be written, or options that do not suit the jobs. The job is in the queue again then.
   *
   * If Redis is away at the end, BullMQ goes on looking for it, which keeps the process alive: end it.
   */
  finished: Promise<void>
}

/** How often a job may be taken over from workers that died before it becomes a dead letter: it may be what kills them. */
const MAX_STALLED = 3
const EMPTY_POLL_MS = 500
const CLOSE_MS = 5000

/**
 * Starts a worker for the jobs that {@link enqueueIndex} puts into a queue. Any number may run, on any number of machines.
 *
 * An item that fails in a way that may pass is tried `retries` times, then left for a later try of the job. A job that still has
 * items without a vector after its last try becomes a dead letter, with those items and the reasons.
 *
 * Rejects with SourceError if Redis cannot be reached, and with InvalidArgumentError if a peer package is missing.
 *
 * ```ts
 * await using embedder = await createEmbedder({ model })
 * const worker = await startWorker(embedder, { queue: { url: 'redis://localhost' } })
 * process.once('SIGTERM', () => worker.stop())
 * await worker.finished
 * ```
 */
export async function startWorker(embedder: Embedder, options: WorkerOptions): Promise<IndexWorker> {
  const { queue: address, jobs = 2, lockSeconds = 60 } = options
  if (!(Number.isInteger(jobs) && jobs >= 1)) {
    throw new InvalidArgumentError(`jobs must be a whole number of at least 1, found ${jobs}`)
  }
  if (!(lockSeconds >= 1)) {
    throw new InvalidArgumentError(`lockSeconds must be at least 1, found ${lockSeconds}`)
  }
  const bullmq = await loadBullMq()
  // Reports an unreachable server now: BullMQ's workers wait for it without a word.
  const queue = await connectQueue(address)
  const running = new RunningWorker(embedder, options)
  const worker = new bullmq.Worker<JobData>(
    queueName(address.name),
    (job, token, signal) => running.process(bullmq, job, token ?? '', signal ?? new AbortController().signal),
    {
      connection: connectionOptions(address.url),
      concurrency: jobs,
      lockDuration: lockSeconds * 1000,
      stalledInterval: lockSeconds * 500,
      maxStalledCount: MAX_STALLED,
      metrics: { maxDataPoints: 1440 },
      autorun: false,
    },
  )
  running.start(worker, {
    isEmpty: async () => {
      const counts = await withQueueErrors(address, () =>
        queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active'),
      )
      return Object.values(counts).every((count) => count === 0)
    },
    close: () => queue.close(),
  })
  return running
}

class RunningWorker implements IndexWorker {
  finished!: Promise<void>
  readonly #embedder: Embedder
  readonly #options: WorkerOptions
  #ending = false
  #failure: unknown
  #endNow!: () => void
  /** The jobs in progress, without what Redis is told afterwards. */
  readonly #work = new Set<Promise<JobOutcome>>()
  /** Sums of the jobs that have ended, and of each that runs. */
  #ended: IndexTally = emptyTally()
  readonly #running = new Map<string, IndexTally>()

  constructor(embedder: Embedder, options: WorkerOptions) {
    this.#embedder = embedder
    this.#options = options
  }

  start(worker: Worker<JobData>, queue: { isEmpty(): Promise<boolean>; close(): Promise<void> }): void {
    const { onWarning } = this.#options
    worker.on('error', (error) => onWarning?.(error.message || error.name))
    // Another worker has these jobs now, or will have them soon.
    worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) worker.cancelJob(id, 'the lock was lost')
    })
    const ended = new Promise<void>((resolve) => {
      this.#endNow = resolve
    })
    const loop = worker.run()
    this.finished = (async () => {
      try {
        if (this.#options.exitWhenEmpty) await this.#untilEmpty(queue.isEmpty, ended)
        await Promise.race([ended, loop])
      } catch (failure) {
        this.#failure ??= failure
      }
      this.#ending = true
      const closed = worker.close()
      while (this.#work.size > 0) await Promise.allSettled(this.#work)
      // BullMQ does not get here while Redis is away. The items are written, and other workers will find the jobs' locks expired.
      await within(CLOSE_MS, Promise.allSettled([closed, queue.close()]))
      if (this.#failure !== undefined) throw this.#failure
    })()
    // A caller that awaits it later must not be surprised by an unhandled rejection before.
    this.finished.catch(() => {})
  }

  async stop(): Promise<void> {
    this.#ending = true
    this.#endNow()
    await this.finished
  }

  async #untilEmpty(isEmpty: () => Promise<boolean>, ended: Promise<void>): Promise<void> {
    while (!this.#ending) {
      if (await isEmpty()) {
        this.#endNow()
        return
      }
      await within(EMPTY_POLL_MS, ended)
    }
  }

  async process(
    bullmq: typeof import('bullmq'),
    job: Job<JobData>,
    token: string,
    signal: AbortSignal,
  ): Promise<void> {
    const id = job.id as string
    const { jobs = 2, lockSeconds = 60 } = this.#options
    const work = runJob(this.#embedder, job, {
      ...this.#options,
      jobs,
      signal,
      isEnding: () => this.#ending,
      onProgress: (tally) => this.#report(id, tally),
    })
    this.#work.add(work)
    let outcome: JobOutcome
    try {
      outcome = await work
    } finally {
      this.#work.delete(work)
      this.#settle(id)
    }
    if (outcome.kind === 'done') return
    if (outcome.kind === 'broken') throw new bullmq.UnrecoverableError(outcome.message)
    if (outcome.kind === 'lost') throw new Error('another worker has taken the job over')
    // Only the holder of the lock may change the job. Being stopped between these two calls for longer than the lock lasts is the
    // one way to change it all the same.
    await job.extendLock(token, lockSeconds * 1000)
    if (outcome.data) await job.updateData(outcome.data)
    if (outcome.kind === 'failed') {
      if (outcome.retryable) throw new Error(outcome.message)
      throw new bullmq.UnrecoverableError(outcome.message)
    }
    if (outcome.kind === 'ended') {
      this.#failure ??= outcome.failure
      this.#ending = true
      this.#endNow()
      // The job may be what broke the device, so this counts as one of its tries. Anything else is not its fault.
      if (isDeviceLost(outcome.failure)) throw outcome.failure
    }
    await job.moveToWait(token)
    throw new bullmq.WaitingError()
  }

  #report(id: string, tally: IndexTally): void {
    this.#running.set(id, tally)
    const sum = { ...this.#ended }
    for (const part of this.#running.values()) add(sum, part)
    this.#options.onProgress?.(sum)
  }

  #settle(id: string): void {
    const tally = this.#running.get(id)
    this.#running.delete(id)
    if (tally) add(this.#ended, tally)
  }
}

/** Resolves like `promise`, or after so many milliseconds. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, late])
  clearTimeout(timer)
}

function isDeviceLost(failure: unknown): failure is CosmosEmbedError {
  return failure instanceof CosmosEmbedError && failure.code === 'device_lost'
}

function emptyTally(): IndexTally {
  return { total: 0, embedded: 0, rows: 0, skipped: 0, repeated: 0, failed: 0, bytes: 0, unmet: 0 }
}

function add(sum: IndexTally, part: IndexTally): void {
  for (const name of Object.keys(sum) as (keyof IndexTally)[]) sum[name] += part[name]
  sum.unmet = 0
}
