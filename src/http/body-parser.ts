/** Parses bodies: short ones here, long ones in worker threads, so that 40 MB of base64 never stall the event loop. */
import { type ErrorCode, type ErrorDetails, errorTable } from '../errors.ts'
import { loopShare } from '../base/loop-share.ts'
import type { WireRules } from '../request/wire.ts'
import { Thread } from '../schedule/worker-thread.ts'
import type { Body } from './body.ts'
import { HttpError, type TransportCode } from './errors.ts'
import type { HttpLimits } from './options.ts'
import { type Bodies, type BodyKind, parseBody } from './parse-body.ts'

export interface WorkerTask {
  kind: BodyKind
  blocks: Uint8Array<ArrayBuffer>[]
  rules: WireRules
}

/** Error classes do not survive the way between threads; their fields do. */
export type WorkerResult =
  | { parsed: Bodies[BodyKind] }
  | { transport: TransportCode; message: string }
  | { code: ErrorCode; message: string; details: ErrorDetails; index: number | undefined }

const MiB = 1024 * 1024

/** What a body may become in the heap of the thread: its text, at two bytes a character, and the texts in it. */
const heapPerByte = 6

/** Bodies over this have a thread of their own, so that one of them never holds up the others. */
const veryLong = 8 * MiB

export class BodyParser {
  readonly #workerBytes: number
  readonly #long: Thread<WorkerTask, WorkerResult>
  readonly #veryLong: Thread<WorkerTask, WorkerResult>

  /** Bodies over `workerBodyBytes` go to a thread, one at a time, which bounds its memory. */
  constructor({ workerBodyBytes, maxBodyBytes }: HttpLimits) {
    const thread = (maxBytes: number) =>
      new Thread<WorkerTask, WorkerResult>({
        file: new URL('./body-worker.js', import.meta.url),
        purpose: 'parses request bodies',
        maxHeapMegabytes: 64 + Math.ceil((heapPerByte * maxBytes) / MiB),
        endsOnAbort: true,
      })
    this.#workerBytes = workerBodyBytes
    this.#long = thread(Math.min(veryLong, maxBodyBytes))
    this.#veryLong = thread(maxBodyBytes)
  }

  /** Rejects as `parseBody` does. The body's blocks must not be used afterwards. */
  async parse<Kind extends BodyKind>(
    kind: Kind,
    body: Body,
    rules: WireRules,
    signal: AbortSignal,
  ): Promise<Bodies[Kind]> {
    if (body.length <= this.#workerBytes) {
      // Many short ones at once are as long as a long one.
      return loopShare.run(() => {
        signal.throwIfAborted()
        return parseBody(kind, body.blocks, rules, signal)
      })
    }
    const thread = body.length <= veryLong ? this.#long : this.#veryLong
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
