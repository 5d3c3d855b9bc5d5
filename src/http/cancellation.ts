/** Why one request stops early: its client disconnects, its deadline passes, or the server closes. */
import type { ServerResponse } from 'node:http'
import { CancelledError, TimeoutError } from '../errors.ts'

export class Cancellation {
  readonly #controller = new AbortController()
  readonly #response: ServerResponse
  readonly #onClose: () => void
  #deadline: NodeJS.Timeout | undefined

  constructor(response: ServerResponse) {
    this.#response = response
    this.#onClose = () => {
      if (!response.writableFinished) this.abort(new CancelledError('the client disconnected'))
    }
    response.on('close', this.#onClose)
    if (response.destroyed) this.#onClose()
  }

  /** Aborts with a CancelledError, a TimeoutError, or the reason given to {@link Cancellation.abort}. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get clientGone(): boolean {
    return this.#response.destroyed
  }

  /** Aborts `milliseconds` from now. Replaces an earlier deadline. */
  setDeadline(milliseconds: number): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => {
      this.abort(new TimeoutError(`the request took longer than requestTimeoutMs ${milliseconds}`))
    }, milliseconds)
  }

  abort(reason: Error): void {
    this.#controller.abort(reason)
  }

  /** Stops watching the response and the clock. */
  end(): void {
    clearTimeout(this.#deadline)
    this.#response.off('close', this.#onClose)
  }
}
