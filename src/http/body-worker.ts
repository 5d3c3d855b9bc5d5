/** The worker thread of {@link BodyParser}. */
import { getPriority, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { CosmosEmbedError, InternalError } from '../errors.ts'
import type { WorkerResult, WorkerTask } from './body-parser.ts'
import { HttpError } from './errors.ts'
import { type Bodies, type BodyKind, parseBody } from './parse-body.ts'

// On Linux this lowers the priority of this thread only: on few cores, short requests run before a long body.
setPriority(Math.min(19, getPriority() + 5))

parentPort?.on('message', async ({ kind, blocks, rules }: WorkerTask) => {
  try {
    const parsed = await parseBody(kind, blocks, rules)
    post({ parsed }, transferable(parsed))
  } catch (error) {
    post(describe(error))
  }
})

function post(result: WorkerResult, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(result, transfer)
}

function describe(error: unknown): WorkerResult {
  if (error instanceof HttpError) return { transport: error.code, message: error.message }
  const { code, message, details, index } =
    error instanceof CosmosEmbedError ? error : new InternalError('unexpected error while parsing a body')
  return { code, message, details, index }
}

/** The buffers of decoded media. Copying them would block the main thread for as long as decoding them there. */
function transferable(parsed: Bodies[BodyKind]): ArrayBuffer[] {
  const items = 'items' in parsed ? parsed.items : [parsed.item]
  return items.flatMap((item) => {
    if (item.kind === 'text') return []
    const sources = item.kind === 'video' ? [item.source] : item.frames
    return sources.flatMap((source) => (source.type === 'bytes' ? [source.bytes.buffer as ArrayBuffer] : []))
  })
}
