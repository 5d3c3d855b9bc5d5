/** Clients that are slow to read their answer. */
import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { CancelledError } from '../errors.ts'
import type { Work } from './work.ts'

/** From now on the connection ends after so long without progress. */
export function limitSending({ raw }: FastifyReply, milliseconds: number): void {
  const { socket } = raw
  // What `app.inject` sends comes over no socket.
  if (typeof socket?.setTimeout !== 'function') return
  const giveUp = () => socket.destroy()
  socket.setTimeout(milliseconds)
  socket.on('timeout', giveUp)
  // From then on Node counts the time for keeping the connection alive.
  raw.once('close', () => socket.off('timeout', giveUp))
}

/** Resolves when there is room for more; after too long without, the connection ends. Rejects when the work is given up. */
export function drained(response: ServerResponse, work: Work, milliseconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(patience)
      response.off('drain', onDrain)
      work.signal.removeEventListener('abort', onAbort)
    }
    const onDrain = () => {
      end()
      resolve()
    }
    const onAbort = () => {
      end()
      reject(work.signal.reason)
    }
    const patience = setTimeout(() => {
      response.destroy()
      work.abort(new CancelledError('the client does not read its answer'))
    }, milliseconds)
    response.on('drain', onDrain)
    work.signal.addEventListener('abort', onAbort)
    if (work.signal.aborted) onAbort()
  })
}
