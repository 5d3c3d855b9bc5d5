/** Sends HTTP requests with retries under one deadline. */
import { abortable, onAbort } from '../base/abort.ts'
import { type CosmosEmbedError, RemoteError, TimeoutError } from '../errors.ts'
import type { ResolvedClient } from './options.ts'
import { type HttpResponse, mayRetry, parseError, retryAfter } from './response.ts'

export interface SendOptions {
  signal: AbortSignal
  /** Whether to retry or to reject when the server is overloaded. Default `wait`. */
  whenFull?: 'wait' | 'refuse' | undefined
}

/** A longer `Retry-After` is treated as a failure. */
const maxWaitMs = 60_000

export class Transport {
  readonly #client: ResolvedClient

  constructor(client: ResolvedClient) {
    this.#client = client
  }

  /** Resolves with a 2xx response. Rejects with a CosmosEmbedError, or with `signal.reason`. */
  post(path: string, body: unknown, options: SendOptions): Promise<HttpResponse> {
    const headers = { 'content-type': 'application/json' }
    return this.#request(path, { method: 'POST', body: JSON.stringify(body), headers }, options)
  }

  /** As {@link post}, but also resolves with a 404 or 405: not every server has every route. */
  get(path: string, options: SendOptions): Promise<HttpResponse> {
    return this.#request(path, { method: 'GET' }, options)
  }

  async #request(path: string, init: RequestInit, options: SendOptions): Promise<HttpResponse> {
    const { timeoutMs } = this.#client
    const deadline = performance.now() + timeoutMs
    const timeout = withTimeout(options.signal, timeoutMs, () => {
      return new TimeoutError(`the server did not answer within timeoutMs ${timeoutMs}`, {
        details: { limit: timeoutMs },
      })
    })
    try {
      return await this.#requestWithRetries(path, init, { ...options, signal: timeout.signal }, deadline)
    } finally {
      timeout.clear()
    }
  }

  async #requestWithRetries(
    path: string,
    init: RequestInit,
    { signal, whenFull }: SendOptions,
    deadline: number,
  ): Promise<HttpResponse> {
    let failures = 0
    let overloads = 0
    for (;;) {
      const { response, failure, retry, waitMs } = await this.#attempt(path, init, signal)
      if (response) return response
      // An overloaded server is healthy, so waiting for it does not count as a retry.
      const isOverloaded = failure.code === 'overloaded'
      const mayContinue = isOverloaded ? whenFull !== 'refuse' : failures < this.#client.maxRetries
      const wait = waitMs ?? backoff(isOverloaded ? overloads++ : failures)
      if (!isOverloaded) failures++
      if (!retry || !mayContinue || wait > maxWaitMs || performance.now() + wait >= deadline) throw failure
      await sleep(wait, signal)
    }
  }

  async #attempt(
    path: string,
    init: RequestInit,
    signal: AbortSignal,
  ): Promise<
    | { response: HttpResponse; failure?: never; retry?: never; waitMs?: never }
    | { response?: never; failure: CosmosEmbedError; retry: boolean; waitMs?: number | undefined }
  > {
    const { base, fetch, headers } = this.#client
    let response: HttpResponse
    try {
      signal.throwIfAborted()
      const fetched = await fetch(`${base}${path}`, {
        ...init,
        headers: { accept: 'application/json', ...headers, ...init.headers },
        signal,
        // A redirect must not send the key or the media to another server.
        redirect: 'manual',
      })
      response = { status: fetched.status, headers: fetched.headers, text: await fetched.text() }
    } catch (cause) {
      signal.throwIfAborted()
      const failure = new RemoteError(`the server at ${new URL(base).origin} cannot be reached`, { cause })
      return { failure, retry: true }
    }
    const { status } = response
    const isMissingRoute = init.method === 'GET' && (status === 404 || status === 405)
    if ((status >= 200 && status < 300) || isMissingRoute) return { response }
    const seconds = retryAfter(response.headers)
    const waitMs = seconds === undefined ? undefined : seconds * 1000
    return { failure: parseError(response), retry: mayRetry(response), waitMs }
  }
}

/** Exponential backoff with jitter, in milliseconds. */
function backoff(attempt: number): number {
  return Math.min(8000, 500 * 2 ** attempt) * (0.75 + 0.25 * Math.random())
}

async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  try {
    await abortable(over, signal)
  } finally {
    clearTimeout(timer)
  }
}

/** A signal that also aborts, with `reason()`, after `milliseconds`. */
function withTimeout(
  signal: AbortSignal,
  milliseconds: number,
  reason: () => Error,
): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(reason()), milliseconds)
  const forget = onAbort(signal, () => controller.abort(signal.reason))
  return {
    signal: controller.signal,
    clear: () => {
      clearTimeout(timer)
      forget()
    },
  }
}
