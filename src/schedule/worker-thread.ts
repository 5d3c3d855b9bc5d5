/** A worker thread that processes one task at a time, by priority. */
import { Worker } from 'node:worker_threads'
import { abortable, onAbort } from '../base/abort.ts'
import { InternalError } from '../errors.ts'
import type { Priority } from './priority-queue.ts'
import { PrioritySemaphore } from './priority-semaphore.ts'

export interface ThreadOptions {
  /** The compiled module that answers each message with one message. */
  file: URL
  /** Completes "the thread that …" in messages. */
  purpose: string
  /** Passed to the module as `workerData`. */
  data?: unknown
  /** Heap limit in megabytes. A task that needs more ends the thread and fails alone. */
  maxHeapMegabytes?: number
  /** Whether an abort ends the thread during its task. Otherwise the task runs to its end and its result is dropped. */
  endsOnAbort: boolean
}

export interface TaskOptions {
  signal: AbortSignal
  priority?: Priority
  transfer?: readonly ArrayBuffer[]
}

export class Thread<Task, Result> {
  readonly #options: ThreadOptions
  readonly #turns = new PrioritySemaphore(1)
  #worker: Worker | undefined

  constructor(options: ThreadOptions) {
    this.#options = options
  }

  /** Runs a task; the first one starts the thread. Rejects with `signal.reason`, or with InternalError if the thread ends. */
  run(task: Task, { signal, priority = 'query', transfer = [] }: TaskOptions): Promise<Result> {
    const turn = this.#turns.run(priority, signal, () => this.#send(task, signal, transfer))
    return abortable(turn, signal)
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #send(task: Task, signal: AbortSignal, transfer: readonly ArrayBuffer[]): Promise<Result> {
    const worker = this.#worker ?? this.#start()
    return new Promise((resolve, reject) => {
      const onMessage = (result: Result) => {
        forget()
        resolve(result)
      }
      const onEnd = (cause: unknown) => {
        forget()
        reject(new InternalError(`the thread that ${this.#options.purpose} ended`, { cause }))
      }
      const stop = () => {
        if (this.#options.endsOnAbort) void worker.terminate()
      }
      const unlisten = onAbort(signal, stop)
      const forget = () => {
        unlisten()
        worker.off('message', onMessage).off('error', onEnd).off('exit', onEnd)
        worker.unref()
      }
      worker.on('message', onMessage).on('error', onEnd).on('exit', onEnd)
      // The thread keeps the process alive only during a task.
      worker.ref()
      worker.postMessage(task, [...transfer])
    })
  }

  #start(): Worker {
    const { file, data, maxHeapMegabytes } = this.#options
    const worker = new Worker(file, {
      // Flags of the process, such as loaders, are not meant for this module.
      execArgv: [],
      workerData: data,
      ...(maxHeapMegabytes !== undefined && {
        resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes },
      }),
    })
    const forget = () => {
      if (this.#worker === worker) this.#worker = undefined
    }
    worker.on('error', forget).on('exit', forget)
    this.#worker = worker
    return worker
  }
}
