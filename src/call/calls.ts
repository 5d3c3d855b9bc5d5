import { onAbort } from '../base/abort.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { ClosedError, type CosmosEmbedError, DeviceLostError, OverloadedError } from '../errors.ts'
import type { CallOutcome } from '../run/stats.ts'

/** One call of the public API, from its start until nothing of it runs any more. */
export interface Call {
  /** Aborts when the caller cancels, when the owner closes, and on {@link Call.fail}. */
  readonly signal: AbortSignal
  /** Stops whatever else this call has started: its outcome is decided. The first reason stays. */
  fail(reason: unknown): void
  /** The same on behalf of the caller or of the closing owner. */
  cancel(reason: unknown): void
  /** A part of the answer is with the caller, who may never come back for the rest. */
  rest(): void
  /** The caller came back. */
  resume(): void
  /** Idempotent. `failure` is what the call rejects with. */
  end(outcome?: { failure: unknown }): void
}

/** The calls in progress: what closing their owner, an embedder or a client, has to cancel and to wait for. */
export class Calls {
  readonly #owner: string
  readonly #ended: (outcome: CallOutcome) => void
  readonly #running = new Set<Call>()
  readonly #whenIdle: (() => void)[] = []
  /** Why no call begins any more. */
  #refusal: (() => CosmosEmbedError) | undefined
  #draining = false
  /** Those that rest. */
  readonly #resting = new Set<Call>()

  constructor(owner: 'embedder' | 'client', ended: (outcome: CallOutcome) => void = () => {}) {
    this.#owner = owner
    this.#ended = ended
  }

  get size(): number {
    return this.#running.size
  }

  /** Throws ClosedError after {@link Calls.close}, DeviceLostError after {@link Calls.lose}. */
  begin(callerSignal: AbortSignal | undefined): Call {
    if (this.#refusal) throw this.#refusal()
    const controller = new AbortController()
    let cancelled = false
    const call: Call = {
      signal: controller.signal,
      fail: (reason) => controller.abort(reason),
      cancel: (reason) => {
        cancelled ||= !controller.signal.aborted
        controller.abort(reason)
      },
      rest: () => {
        this.#resting.add(call)
        if (this.#draining) call.cancel(this.closed())
      },
      resume: () => void this.#resting.delete(call),
      end: (outcome) => {
        if (!this.#running.delete(call)) return
        this.#resting.delete(call)
        forget()
        this.#ended(outcomeOf(cancelled, outcome))
        if (this.#running.size === 0) for (const idle of this.#whenIdle.splice(0)) idle()
      },
    }
    this.#running.add(call)
    const forget = callerSignal ? onAbort(callerSignal, () => call.cancel(callerSignal.reason)) : () => {}
    return call
  }

  /** Runs `work` as one call. Rejects with the reason of its signal, or with an error of this package. */
  async run<T>(callerSignal: AbortSignal | undefined, work: (call: Call) => Promise<T>): Promise<T> {
    const call = this.begin(callerSignal)
    try {
      call.signal.throwIfAborted()
      const result = await work(call)
      call.end()
      return result
    } catch (thrown) {
      const failure =
        call.signal.aborted && thrown === call.signal.reason ? thrown : toCosmosEmbedError(thrown)
      call.end({ failure })
      throw failure
    }
  }

  /** No call begins any more. Those in progress go on, until {@link Calls.cancel}. */
  close(): void {
    this.#refusal = () => this.closed()
  }

  /** The device is gone: calls in progress fail with `reason`, and so does every later one. */
  lose(reason: DeviceLostError): void {
    const { message, details } = reason
    this.#refusal ??= () => new DeviceLostError(message, { details })
    for (const call of this.#running) call.fail(reason)
  }

  /** Those in progress end by themselves, except those whose caller may never come back: they are cancelled. */
  drain(): void {
    this.#draining = true
    for (const call of this.#resting) call.cancel(this.closed())
  }

  cancel(): void {
    for (const call of this.#running) call.cancel(this.closed())
  }

  /** What a call is told that comes after {@link Calls.close}, or is cancelled by it. */
  closed(): ClosedError {
    return new ClosedError(`the ${this.#owner} is closed: dispose() was called`)
  }

  /** Resolves when no call is in progress. */
  async idle(): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }
}

function outcomeOf(cancelled: boolean, outcome: { failure: unknown } | undefined): CallOutcome {
  if (!outcome) return 'succeeded'
  if (cancelled) return 'cancelled'
  return outcome.failure instanceof OverloadedError ? 'rejected' : 'failed'
}
