import { onAbort } from '../abort.ts'
import { ClosedError, CosmosEmbedError, InternalError } from '../errors.ts'

/** One call of the client, until nothing of it runs any more. */
export interface Call {
  /** Aborts when the caller cancels, when the client closes, and on {@link Call.fail}. */
  readonly signal: AbortSignal
  /** Stops what else the call has started: its outcome is decided. The first reason stays. */
  fail(reason: unknown): void
}

/** A call whose answer is handed out in parts. */
export interface OpenCall extends Call {
  /** A part of the answer is with the caller, who may never come back for the rest. */
  rest(): void
  /** The caller came back. */
  resume(): void
  /** Idempotent. */
  end(): void
}

/** The calls in progress: what closing a client has to cancel and to wait for. */
export class Calls {
  readonly #open = new Map<OpenCall, Promise<void>>()
  readonly #resting = new Set<OpenCall>()
  #closed = false
  #draining = false

  /** Throws ClosedError after {@link Calls.close}. */
  begin(callerSignal: AbortSignal | undefined): OpenCall {
    if (this.#closed) throw closed()
    const controller = new AbortController()
    const forget = callerSignal
      ? onAbort(callerSignal, () => controller.abort(callerSignal.reason))
      : () => {}
    let ended = () => {}
    const end = new Promise<void>((resolve) => {
      ended = resolve
    })
    const call: OpenCall = {
      signal: controller.signal,
      fail: (reason) => controller.abort(reason),
      rest: () => {
        this.#resting.add(call)
        if (this.#draining) call.fail(closed())
      },
      resume: () => void this.#resting.delete(call),
      end: () => {
        forget()
        this.#resting.delete(call)
        this.#open.delete(call)
        ended()
      },
    }
    this.#open.set(call, end)
    return call
  }

  /** Rejects with the reason of the call's signal, or with an error of this package. */
  async run<T>(callerSignal: AbortSignal | undefined, work: (call: Call) => Promise<T>): Promise<T> {
    const call = this.begin(callerSignal)
    const { signal } = call
    try {
      signal.throwIfAborted()
      return await work(call)
    } catch (failure) {
      signal.throwIfAborted()
      throw ours(failure)
    } finally {
      call.end()
    }
  }

  /** No call begins any more. Those in progress are cancelled, or with `drain` finished, but for those that rest. */
  async close({ drain }: { drain: boolean }): Promise<void> {
    this.#closed = true
    this.#draining = drain
    for (const call of drain ? this.#resting : this.#open.keys()) call.fail(closed())
    await Promise.all(this.#open.values())
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
