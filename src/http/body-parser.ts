/** Parses bodies: short ones here, long ones in a worker thread, so that 40 MB of base64 never stall the event loop. */
import { Worker } from 'node:worker_threads'
import { type ErrorCode, type ErrorDetails, errorTable, InternalError } from '../errors.ts'
import type { RequestRules } from '../request/items.ts'
import type { Body } from './body.ts'
import { HttpError, type TransportCode } from './errors.ts'
import { type ParsedBody, parseBody } from './parse-body.ts'

export interface WorkerTask {
  blocks: Uint8Array<ArrayBuffer>[]
  rules: RequestRules
}

/** Error classes do not survive the way between threads; their fields do. */
export type WorkerResult =
  | { parsed: ParsedBody }
  | { transport: TransportCode; message: string }
  | { code: ErrorCode; message: string; details: ErrorDetails; index: number | undefined }

export class BodyParser {
  readonly #workerBytes: number
  #worker: Worker | undefined
  /** The end of the line in front of the worker: one body at a time bounds its memory. */
  #tail: Promise<unknown> = Promise.resolve()

  /** Bodies over `workerBytes` go to the worker, which starts with the first of them. */
  constructor(workerBytes: number) {
    this.#workerBytes = workerBytes
  }

  /** Rejects as `parseBody` does. The body's blocks must not be used afterwards. */
  parse(body: Body, rules: RequestRules, signal: AbortSignal): Promise<ParsedBody> {
    if (body.length <= this.#workerBytes) return parseBody(body.blocks, rules, signal)
    const turn = this.#tail.then(() => {
      signal.throwIfAborted()
      return this.#inWorker({ blocks: body.blocks, rules })
    })
    this.#tail = turn.catch(() => {})
    return turn
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #inWorker(task: WorkerTask): Promise<ParsedBody> {
    const worker = this.#worker ?? this.#start()
    return new Promise((resolve, reject) => {
      const onMessage = (result: WorkerResult) => {
        forget()
        if ('parsed' in result) resolve(result.parsed)
        else reject(toError(result))
      }
      const onExit = (cause: unknown) => {
        forget()
        this.#worker = undefined
        reject(new InternalError('the thread that parses request bodies ended', { cause }))
      }
      const forget = () => worker.off('message', onMessage).off('error', onExit).off('exit', onExit)
      worker.on('message', onMessage).on('error', onExit).on('exit', onExit)
      worker.postMessage(task, [...new Set(task.blocks.map((block) => block.buffer))])
    })
  }

  #start(): Worker {
    this.#worker = new Worker(new URL('./body-worker.js', import.meta.url))
    // Open sockets keep the process alive, not this.
    this.#worker.unref()
    return this.#worker
  }
}

function toError(failure: Exclude<WorkerResult, { parsed: ParsedBody }>): Error {
  if ('transport' in failure) return new HttpError(failure.transport, failure.message)
  const { code, message, details, index } = failure
  return new errorTable[code].class(message, { details, index })
}
