import { onAbort } from '../abort.ts'
import { ClosedError, CosmosEmbedError, InternalError } from '../errors.ts'

/** One call of the client, until nothing of it runs any more. */
export interface Call {
  /** Aborts when the caller cancels, when the client closes, and on {@link Call.fail}. */
  readonly signal: AbortSignal
  /** Stops what else the call has started: its outcome is decided. */
  fail(reason: unknown): void
}

/** The calls in progress: what closing a client has to cancel and to wait for. */
export class Calls {
  readonly #open = new Map<AbortController, Promise<unknown>>()
  #closed = false

  /** Rejects with the reason of the call's signal, or with an error of this package. */
  run<T>(callerSignal: AbortSignal | undefined, work: (call: Call) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closed())
    const controller = new AbortController()
    const forget = callerSignal
      ? onAbort(callerSignal, () => controller.abort(callerSignal.reason))
      : () => {}
    const running = this.#run(controller, work).finally(() => {
      forget()
      this.#open.delete(controller)
    })
    this.#open.set(controller, running)
    return running
  }

  /** No call begins any more. Those in progress are cancelled, or with `drain` finished. */
  async close({ drain }: { drain: boolean }): Promise<void> {
    this.#closed = true
    if (!drain) for (const controller of this.#open.keys()) controller.abort(closed())
    await Promise.allSettled(this.#open.values())
  }

  async #run<T>(controller: AbortController, work: (call: Call) => Promise<T>): Promise<T> {
    const { signal } = controller
    try {
      signal.throwIfAborted()
      return await work({ signal, fail: (reason) => controller.abort(reason) })
    } catch (failure) {
      signal.throwIfAborted()
      throw ours(failure)
    }
  }
}

/** The first failure stops the others. */
export async function allOrNothing<From, To>(
  call: Call,
  inputs: readonly From[],
  step: (input: From) => Promise<To>,
): Promise<To[]> {
  const outputs = inputs.map(async (input) => {
    try {
      return await step(input)
    } catch (failure) {
      call.fail(failure)
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  return Promise.all(outputs)
}

/** Whatever was thrown in here, as an error of this package. */
export function ours(failure: unknown): CosmosEmbedError {
  if (failure instanceof CosmosEmbedError) return failure
  const { message = 'unexpected failure' } = (failure ?? {}) as Partial<Error>
  return new InternalError(message, { cause: failure })
}

export function closed(): ClosedError {
  return new ClosedError('the client is closed: dispose() was called')
}
