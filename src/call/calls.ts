/** The calls in progress of an embedder or a client: their signals, their outcomes, and how closing ends them. */
import { onAbort } from '../base/abort.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { ClosedError, type CosmosEmbedError, DeviceLostError, OverloadedError } from '../errors.ts'

export type CallOutcome = 'succeeded' | 'failed' | 'cancelled' | 'rejected'

/** One call of the public API, from its start until everything that it started has ended. */
export interface Call {
  /** Aborts when the caller cancels, when the owner closes, and on {@link Call.fail}. */
  readonly signal: AbortSignal
  /** Aborts everything that this call has started. The call rejects with the first reason. */
  fail(reason: unknown): void
  /** Like {@link Call.fail}, when the caller or the closing owner cancels; the outcome counts as `cancelled`. */
  cancel(reason: unknown): void
  /** Marks that a result was yielded. The consumer may never ask for the next one, so draining cancels a paused call. */
  pause(): void
  /** Marks that the consumer asked for the next result. */
  resume(): void
  /** Ends the call. Idempotent. `failure` is what the call rejects with. */
  end(outcome?: { failure: unknown }): void
}

/** The calls in progress of their owner, an embedder or a client, which cancels or drains them when it closes. */
export class Calls {
  readonly #owner: string
  readonly #onEnd: (outcome: CallOutcome, milliseconds: number) => void
  readonly #running = new Set<Call>()
  readonly #whenIdle: (() => void)[] = []
  /** Creates the error of calls that begin too late; undefined while calls are accepted. */
  #refusal: (() => CosmosEmbedError) | undefined
  #draining = false
  readonly #paused = new Set<Call>()

  constructor(
    owner: 'embedder' | 'client',
    onEnd: (outcome: CallOutcome, milliseconds: number) => void = () => {},
  ) {
    this.#owner = owner
    this.#onEnd = onEnd
  }

  get size(): number {
    return this.#running.size
  }

  /** Begins a call. Throws ClosedError after {@link Calls.close}, DeviceLostError after {@link Calls.failAll}. */
  begin(callerSignal: AbortSignal | undefined): Call {
    if (this.#refusal) throw this.#refusal()
    const controller = new AbortController()
    const started = performance.now()
    let cancelled = false
    const call: Call = {
      signal: controller.signal,
      fail: (reason) => controller.abort(reason),
      cancel: (reason) => {
        cancelled ||= !controller.signal.aborted
        controller.abort(reason)
      },
      pause: () => {
        this.#paused.add(call)
        if (this.#draining) call.cancel(this.closedError())
      },
      resume: () => void this.#paused.delete(call),
      end: (outcome) => {
        if (!this.#running.delete(call)) return
        this.#paused.delete(call)
        forget()
        this.#onEnd(outcomeOf(cancelled, outcome), performance.now() - started)
        if (this.#running.size === 0) for (const idle of this.#whenIdle.splice(0)) idle()
      },
    }
    this.#running.add(call)
    const forget = callerSignal ? onAbort(callerSignal, () => call.cancel(callerSignal.reason)) : () => {}
    return call
  }

  /** Runs `work` as one call. Rejects with the reason of the call's signal or with an error of this package. */
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

  /** Refuses new calls. Those in progress go on until {@link Calls.cancel}. */
  close(): void {
    this.#refusal = () => this.closedError()
  }

  /** Fails all calls in progress with `reason`, and refuses later ones, because the device is lost. */
  failAll(reason: DeviceLostError): void {
    const { message, details } = reason
    this.#refusal ??= () => new DeviceLostError(message, { details })
    for (const call of this.#running) call.fail(reason)
  }

  /** Lets the calls in progress finish. Paused ones are cancelled, because their consumers may never continue. */
  drain(): void {
    this.#draining = true
    for (const call of this.#paused) call.cancel(this.closedError())
  }

  /** Cancels all calls in progress. */
  cancel(): void {
    for (const call of this.#running) call.cancel(this.closedError())
  }

  /** The error of calls that begin after {@link Calls.close} or that closing cancels. */
  closedError(): ClosedError {
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
