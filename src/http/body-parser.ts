/** Parses bodies: short ones on the main thread, long ones in worker threads, so that base64 never blocks the event loop. */

import { loopShare } from '../base/loop-share.ts'
import { type ErrorCode, type ErrorDetails, errorTable } from '../errors.ts'
import type { WireRules } from '../request/wire.ts'
import { Thread } from '../schedule/worker-thread.ts'
import type { Body } from './body-meter.ts'
import { HttpError, type TransportCode } from './errors.ts'
import type { HttpLimits } from './options.ts'
import { type Bodies, type BodyKind, parseBody } from './parse-body.ts'

export interface WorkerTask {
  kind: BodyKind
  blocks: Uint8Array<ArrayBuffer>[]
  rules: WireRules
}

/** Errors travel as their fields: structured clone does not keep their classes. */
export type WorkerResult =
  | { parsed: Bodies[BodyKind] }
  | { transport: TransportCode; message: string }
  | { code: ErrorCode; message: string; details: ErrorDetails; index: number | undefined }

const MiB = 1024 * 1024

/** Heap bytes per byte of a body: its text, at two bytes per character, and the strings parsed from it. */
const heapPerByte = 6

/** Bodies over this size have their own thread, so that they do not delay shorter ones. */
const veryLongBytes = 8 * MiB

export class BodyParser {
  readonly #workerBytes: number
  readonly #long: Thread<WorkerTask, WorkerResult>
  readonly #veryLong: Thread<WorkerTask, WorkerResult>

  /** Bodies over `workerBodyBytes` are parsed in a thread. It takes one at a time, which bounds its memory. */
  constructor({ workerBodyBytes, maxBodyBytes }: HttpLimits) {
    const thread = (maxBytes: number) =>
      new Thread<WorkerTask, WorkerResult>({
        file: new URL('./body-worker.js', import.meta.url),
        purpose: 'parses request bodies',
        maxHeapMegabytes: 64 + Math.ceil((heapPerByte * maxBytes) / MiB),
        endsOnAbort: true,
      })
    this.#workerBytes = workerBodyBytes
    this.#long = thread(Math.min(veryLongBytes, maxBodyBytes))
    this.#veryLong = thread(maxBodyBytes)
  }

  /** Rejects as `parseBody` does. The blocks are transferred to the thread and must not be used afterwards. */
  async parse<Kind extends BodyKind>(
    kind: Kind,
    body: Body,
    rules: WireRules,
    signal: AbortSignal,
  ): Promise<Bodies[Kind]> {
    if (body.length <= this.#workerBytes) {
      // Many short bodies at once block the event loop as one long body does.
      return loopShare.run(() => {
        signal.throwIfAborted()
        return parseBody(kind, body.blocks, rules, signal)
      })
    }
    const thread = body.length <= veryLongBytes ? this.#long : this.#veryLong
    const transfer = [...new Set(body.blocks.map((block) => block.buffer))]
    const result = await thread.run({ kind, blocks: body.blocks, rules }, { signal, transfer })
    if ('parsed' in result) return result.parsed as Bodies[Kind]
    throw toError(result)
  }

  async close(): Promise<void> {
    await Promise.all([this.#long.close(), this.#veryLong.close()])
  }
}

function toError(failure: Exclude<WorkerResult, { parsed: unknown }>): Error {
  if ('transport' in failure) return new HttpError(failure.transport, failure.message)
  const { code, message, details, index } = failure
  return new errorTable[code].class(message, { details, index })
}
