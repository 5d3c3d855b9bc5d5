/** Ends connections whose client stops reading its response. */
import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { CancelledError } from '../errors.ts'
import type { Cancellation } from './cancellation.ts'

/** Closes the connection after `milliseconds` without progress, until the response has ended. */
export function setSendTimeout({ raw }: FastifyReply, milliseconds: number): void {
  const { socket } = raw
  // A response of `app.inject` has no socket.
  if (typeof socket?.setTimeout !== 'function') return
  const onTimeout = () => socket.destroy()
  socket.setTimeout(milliseconds)
  socket.on('timeout', onTimeout)
  // After the response the socket's timeout is Node's keep-alive timeout.
  raw.once('close', () => socket.off('timeout', onTimeout))
}

/**
 * Resolves when `response` can take more data. Closes the connection after `milliseconds` without progress. Rejects with
 * the reason of the cancellation.
 */
export function waitForDrain(
  response: ServerResponse,
  cancellation: Cancellation,
  milliseconds: number,
): Promise<void> {
  const { signal } = cancellation
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timeout)
      response.off('drain', onDrain)
      signal.removeEventListener('abort', onAbort)
    }
    const onDrain = () => {
      stop()
      resolve()
    }
    const onAbort = () => {
      stop()
      reject(signal.reason)
    }
    const timeout = setTimeout(() => {
      response.destroy()
      cancellation.abort(new CancelledError('the client stopped reading the response'))
    }, milliseconds)
    response.on('drain', onDrain)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
  })
}
