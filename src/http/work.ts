/** One request's reason to stop: its client went away, its time is over, or the server closes. */
import type { ServerResponse } from 'node:http'
import { CancelledError, TimeoutError } from '../errors.ts'

export class Work {
  readonly #controller = new AbortController()
  readonly #response: ServerResponse
  readonly #onClose: () => void
  #deadline: NodeJS.Timeout | undefined

  constructor(response: ServerResponse) {
    this.#response = response
    this.#onClose = () => {
      if (!response.writableFinished) this.abort(new CancelledError('the client went away'))
    }
    response.on('close', this.#onClose)
    if (response.destroyed) this.#onClose()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether nobody is there to read an answer. */
  get abandoned(): boolean {
    return this.#response.destroyed
  }

  /** From now on; a limit before this one is forgotten. */
  limit(milliseconds: number): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => {
      this.abort(new TimeoutError(`the request took longer than requestTimeoutMs ${milliseconds}`))
    }, milliseconds)
  }

  abort(reason: Error): void {
    this.#controller.abort(reason)
  }

  end(): void {
    clearTimeout(this.#deadline)
    this.#response.off('close', this.#onClose)
  }
}
