/** How the double of an embedder admits, cancels and closes calls: the rules of the real one, written down once more. */
import {
  ClosedError,
  CosmosEmbedError,
  DeviceLostError,
  type DisposeOptions,
  type EmbedderInfo,
  type EmbedderStats,
  type EmbedderStatus,
  InternalError,
  InvalidArgumentError,
  OverloadedError,
  RequestTooLargeError,
} from 'cosmos-embed'

type Priority = 'query' | 'bulk'

interface CallOptions {
  signal?: AbortSignal
  whenFull?: 'wait' | 'refuse'
  priority?: Priority
}

interface Call {
  readonly signal: AbortSignal
  /** Resolves once items of these sizes are admitted. Rejects with RequestTooLargeError or OverloadedError. */
  admit(bytes: readonly number[], priority?: Priority): Promise<void>
}

interface RunningCall extends Call {
  cancel(reason: unknown): void
  fail(reason: unknown): void
  /** Frees what the call holds, and counts how it ended. Idempotent. */
  end(failure?: { reason: unknown }): void
}

interface Cost {
  items: number
  bytes: number
}

interface Waiter {
  readonly priority: Priority
  readonly cost: Cost
  start(): void
}

export class CallsDouble {
  readonly outcomes: EmbedderStats['requests'] = {
    total: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    rejected: 0,
  }
  status: EmbedderStatus = { ready: true }
  readonly #limits: EmbedderInfo['limits']['input']
  readonly #running = new Set<RunningCall>()
  #waiting: Waiter[] = []
  #admitted: Cost = { items: 0, bytes: 0 }
  #refusal: (() => CosmosEmbedError) | undefined
  #onIdle: (() => void)[] = []

  constructor(limits: EmbedderInfo['limits']['input']) {
    this.#limits = limits
  }

  get inFlight(): EmbedderStats['inFlight'] {
    return { ...this.#admitted, requests: this.#running.size }
  }

  /** One call that ends with its result. Rejects with the reason of its signal, or with an error of the package. */
  async run<T>(
    given: object | undefined,
    optionNames: readonly string[],
    work: (call: Call) => Promise<T>,
  ): Promise<T> {
    const call = this.#begin(given, optionNames)
    try {
      call.signal.throwIfAborted()
      const result = await abortable(work(call), call.signal)
      call.end()
      return result
    } catch (thrown) {
      const reason = this.#failureOf(thrown, call.signal)
      call.end({ reason })
      throw reason
    }
  }

  /** One call that hands out its results one by one. It starts with the first `next()`. */
  async *iterate<T>(
    given: object | undefined,
    source: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
    bytes: readonly number[],
  ): AsyncGenerator<T, void, undefined> {
    const names = [
      'windowSeconds',
      'strideSeconds',
      'at',
      'shots',
      'start',
      'end',
      'frameRule',
      'frameTolerance',
      'priority',
    ]
    const call = this.#begin(given, names)
    let results: AsyncGenerator<T, void, undefined> | undefined
    let failure: { reason: unknown } | undefined
    // A consumer that pauses between two results may never come back, so an abort ends the call then.
    let paused = false
    const onAbort = () => paused && call.end({ reason: call.signal.reason })
    call.signal.addEventListener('abort', onAbort)
    try {
      call.signal.throwIfAborted()
      await call.admit(bytes, (given as CallOptions | undefined)?.priority ?? 'bulk')
      results = source(call.signal)
      for (;;) {
        const next = await abortable(results.next(), call.signal)
        if (next.done) return
        paused = true
        yield next.value
        paused = false
        call.signal.throwIfAborted()
      }
    } catch (thrown) {
      failure = { reason: this.#failureOf(thrown, call.signal) }
      throw failure.reason
    } finally {
      call.signal.removeEventListener('abort', onAbort)
      // Like the real one, ends only when its source has ended. The source must settle when its signal aborts.
      await results?.return().catch(() => {})
      call.end(failure)
    }
  }

  /** Calls in progress and later calls fail with this error. */
  lose(error: DeviceLostError): void {
    if (this.status.ready) this.status = { ready: false, code: 'device_lost', reason: error.message }
    this.#refusal ??= () => new DeviceLostError(error.message)
    for (const call of this.#running) call.fail(error)
  }

  async dispose({ drain = false }: DisposeOptions = {}): Promise<void> {
    const closed = () => new ClosedError('the embedder is closed: dispose() was called')
    this.#refusal = closed
    this.status = { ready: false, code: 'closed', reason: 'the embedder is closed' }
    if (!drain) for (const call of this.#running) call.cancel(closed())
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  #begin(given: object = {}, optionNames: readonly string[]): RunningCall {
    const unknown = Object.keys(given).find((name) => !['signal', 'whenFull', ...optionNames].includes(name))
    if (unknown !== undefined) throw new InvalidArgumentError(`options: unknown option "${unknown}"`)
    if (this.#refusal) throw this.#refusal()
    const { signal, whenFull = 'wait', priority: asked = 'query' } = given as CallOptions
    const controller = new AbortController()
    let cancelled = false
    let held: Cost = { items: 0, bytes: 0 }
    let ended = false
    const cancel = (reason: unknown) => {
      cancelled ||= !controller.signal.aborted
      controller.abort(reason)
    }
    const onAbort = () => cancel(signal?.reason)
    const call: RunningCall = {
      signal: controller.signal,
      cancel,
      fail: (reason) => controller.abort(reason),
      admit: async (bytes, priority = asked) => {
        const cost = { items: bytes.length, bytes: bytes.reduce((sum, size) => sum + size, 0) }
        const start = () => {
          held = cost
          this.#take(cost)
        }
        await this.#admit({ cost, priority, start }, whenFull, controller.signal)
      },
      end: (failure) => {
        if (ended) return
        ended = true
        signal?.removeEventListener('abort', onAbort)
        this.#running.delete(call)
        this.#take({ items: -held.items, bytes: -held.bytes })
        this.#startWaiting()
        this.#count(cancelled, failure)
        if (this.#running.size === 0) for (const idle of this.#onIdle.splice(0)) idle()
      },
    }
    this.#running.add(call)
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort)
    return call
  }

  async #admit(waiter: Waiter, whenFull: 'wait' | 'refuse', signal: AbortSignal): Promise<void> {
    const { cost, priority, start } = waiter
    const { maxItemsInFlight, maxBytesInFlight } = this.#limits
    if (cost.items > maxItemsInFlight || cost.bytes > maxBytesInFlight) {
      throw new RequestTooLargeError(
        `the request holds ${cost.bytes} bytes of media, more than maxBytesInFlight ${maxBytesInFlight}`,
        { details: { found: cost.bytes, limit: maxBytesInFlight } },
      )
    }
    // Queries overtake bulk work that waits.
    const isFirst = !this.#waiting.some((other) => priority === 'bulk' || other.priority === 'query')
    if (isFirst && this.#fits(waiter)) {
      start()
    } else if (whenFull === 'refuse') {
      const { items, bytes } = this.#admitted
      throw new OverloadedError(
        `${items} of ${maxItemsInFlight} items and ${bytes} of ${maxBytesInFlight} bytes are in flight`,
        { retryAfter: 1, details: { items, bytes, maxItemsInFlight, maxBytesInFlight } },
      )
    } else {
      await this.#wait(waiter, signal)
    }
  }

  #wait(waiter: Waiter, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: Waiter = {
        ...waiter,
        start: () => {
          waiter.start()
          resolve()
        },
      }
      this.#waiting.push(entry)
      signal.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry)
        reject(signal.reason)
        this.#startWaiting()
      })
    })
  }

  /** An eighth of the room is kept for queries, unless nothing is in flight. */
  #fits({ cost, priority }: Waiter): boolean {
    const { items, bytes } = this.#admitted
    const isFree = priority === 'query' || items === 0
    const share = (limit: number) => (isFree ? limit : limit - Math.floor(limit / 8))
    return (
      items + cost.items <= share(this.#limits.maxItemsInFlight) &&
      (cost.bytes === 0 || bytes + cost.bytes <= share(this.#limits.maxBytesInFlight))
    )
  }

  #take({ items, bytes }: Cost): void {
    this.#admitted = { items: this.#admitted.items + items, bytes: this.#admitted.bytes + bytes }
  }

  #startWaiting(): void {
    for (;;) {
      const next = this.#waiting.find(({ priority }) => priority === 'query') ?? this.#waiting[0]
      if (!next || !this.#fits(next)) return
      this.#waiting = this.#waiting.filter((other) => other !== next)
      next.start()
    }
  }

  #failureOf(thrown: unknown, signal: AbortSignal): unknown {
    if (signal.aborted && thrown === signal.reason) return thrown
    if (thrown instanceof DeviceLostError) this.lose(thrown)
    if (thrown instanceof CosmosEmbedError) return thrown
    return new InternalError((thrown as Error | undefined)?.message ?? 'unexpected failure', {
      cause: thrown,
    })
  }

  #count(cancelled: boolean, failure: { reason: unknown } | undefined): void {
    this.outcomes.total += 1
    if (!failure) this.outcomes.succeeded += 1
    else if (cancelled) this.outcomes.cancelled += 1
    else if (failure.reason instanceof OverloadedError) this.outcomes.rejected += 1
    else this.outcomes.failed += 1
  }
}

/** The outcome of `promise`, or the reason of `signal` as soon as it aborts. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
