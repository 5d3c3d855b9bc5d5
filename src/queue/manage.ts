/** Looks after a queue: what is in it, its dead letters, and how to empty it. */
import type { Job, Queue } from 'bullmq'
import type { ErrorCode } from '../errors.ts'
import { connectQueue, type QueueAddress, withQueueErrors } from './connection.ts'
import { type JobData, parseJob } from './job.ts'

/** What a queue holds. */
export interface QueueStatus {
  /** Jobs that wait for a worker. */
  waiting: number
  /** Jobs that workers have. */
  active: number
  /** Jobs that wait for their next try. */
  delayed: number
  /** Jobs that have been completed since the queue exists. */
  completed: number
  /** Jobs that have items without a vector after their last try. */
  deadJobs: number
  /** Those items. */
  deadLetters: number
  /** Those items by the code of their error; `null` for items of jobs that ended otherwise, such as with their worker. */
  deadCodes: ReadonlyMap<ErrorCode | null, number>
  /** Workers that are connected now. Undefined where the server does not tell. */
  workers: number | undefined
}

/** An item that has no vector after the last try of its job. */
export interface DeadLetter {
  /** Id of the item. */
  key: string
  /** Null if the job ended without a verdict on this item, such as with the death of its workers. */
  code: ErrorCode | null
  message: string
  retryable: boolean
  /** Id of its job. */
  job: string
}

/** An open queue. Dispose of it. */
export interface IndexQueue extends AsyncDisposable {
  /** Counts what the queue holds. */
  status(): Promise<QueueStatus>
  /** Yields every item that has no vector after the last try of its job. */
  deadLetters(): AsyncGenerator<DeadLetter, void, undefined>
  /** Puts the jobs with dead letters back, with all their tries. Resolves to the number of jobs. */
  retry(): Promise<number>
  /**
   * Removes the jobs that no worker has, and with `deadLetters` also those. Jobs of workers end as usual. Resolves to the number
   * of removed jobs. A producer with the same arguments puts their items into the queue again.
   */
  drain(options?: { deadLetters?: boolean }): Promise<number>
}

const PAGE = 100

/** Opens a queue to look after it. Rejects with SourceError if Redis cannot be reached. */
export async function openQueue(address: QueueAddress): Promise<IndexQueue> {
  return new OpenedQueue(address, await connectQueue(address))
}

class OpenedQueue implements IndexQueue {
  readonly #address: QueueAddress
  readonly #queue: Queue<JobData>

  constructor(address: QueueAddress, queue: Queue<JobData>) {
    this.#address = address
    this.#queue = queue
  }

  async status(): Promise<QueueStatus> {
    const queue = this.#queue
    const [counts, completed, workers] = await withQueueErrors(this.#address, () =>
      Promise.all([
        queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed'),
        queue.getMetrics('completed', 0, 0),
        // Some hosted servers forbid CLIENT LIST.
        queue.getWorkersCount().catch(() => undefined),
      ]),
    )
    const codes = new Map<ErrorCode | null, number>()
    let deadLetters = 0
    for await (const { code } of this.deadLetters()) {
      deadLetters++
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts
    return {
      waiting: waiting + prioritized,
      active,
      delayed,
      completed: completed.meta.count,
      deadJobs: failed,
      deadLetters,
      deadCodes: codes,
      workers,
    }
  }

  async *deadLetters(): AsyncGenerator<DeadLetter, void, undefined> {
    for await (const job of this.#failedJobs()) {
      const data = parseJob(job.data)
      const reasons = new Map(data?.failures.map((failure) => [failure.key, failure]))
      for (const { id } of data?.rows ?? []) {
        const { code = null, message = job.failedReason ?? '', retryable = true } = reasons.get(id) ?? {}
        yield { key: id, code, message, retryable, job: job.id as string }
      }
    }
  }

  async retry(): Promise<number> {
    let count = 0
    for await (const job of this.#failedJobs()) {
      await withQueueErrors(this.#address, async () => {
        // Without the verdicts, so that all of its items are tried.
        if (parseJob(job.data)) await job.updateData({ ...job.data, failures: [] })
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true })
      })
      count++
    }
    return count
  }

  async drain({ deadLetters = false }: { deadLetters?: boolean } = {}): Promise<number> {
    const queue = this.#queue
    return withQueueErrors(this.#address, async () => {
      const count = () => queue.getJobCountByTypes('waiting', 'prioritized', 'delayed')
      const before = await count()
      await queue.drain(true)
      const removed = Math.max(0, before - (await count()))
      if (!deadLetters) return removed
      return removed + (await queue.clean(0, Number.POSITIVE_INFINITY, 'failed')).length
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close().catch(() => {})
  }

  /** The failed jobs of this moment, page by page. */
  async *#failedJobs(): AsyncGenerator<Job<JobData>, void, undefined> {
    const queue = this.#queue
    const ids = await withQueueErrors(this.#address, () => queue.getRanges(['failed'], 0, -1))
    for (let from = 0; from < ids.length; from += PAGE) {
      const page = ids.slice(from, from + PAGE)
      const jobs = await withQueueErrors(this.#address, () => Promise.all(page.map((id) => queue.getJob(id))))
      for (const job of jobs) if (job) yield job as Job<JobData>
    }
  }
}
