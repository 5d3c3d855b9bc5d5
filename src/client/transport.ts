/** Requests, tried again where that may help, under one deadline. */
import { abortable, onAbort } from '../base/abort.ts'
import { type CosmosEmbedError, RemoteError, TimeoutError } from '../errors.ts'
import { type HttpResponse, parseError, mayRetry, retryAfter } from './response.ts'
import type { ResolvedClient } from './options.ts'

export interface SendOptions {
  signal: AbortSignal
  /** Whether to come back when the server has no room. */
  whenFull?: 'wait' | 'refuse' | undefined
}

/** Longer than this nobody is sent away by a server that works. */
const maxWaitMs = 60_000

export class Transport {
  readonly #client: ResolvedClient

  constructor(client: ResolvedClient) {
    this.#client = client
  }

  /** A 2xx. Rejects with a CosmosEmbedError, or with `signal.reason`. */
  post(path: string, body: unknown, way: SendOptions): Promise<HttpResponse> {
    const headers = { 'content-type': 'application/json' }
    return this.#request(path, { method: 'POST', body: JSON.stringify(body), headers }, way)
  }

  /** The same; a 404 and a 405 are answers too, as not every server has every route. */
  get(path: string, way: SendOptions): Promise<HttpResponse> {
    return this.#request(path, { method: 'GET' }, way)
  }

  async #request(path: string, init: RequestInit, way: SendOptions): Promise<HttpResponse> {
    const { timeoutMs } = this.#client
    const ends = performance.now() + timeoutMs
    const time = withTimeout(way.signal, timeoutMs, () => {
      return new TimeoutError(`the server did not answer within timeoutMs ${timeoutMs}`, {
        details: { limit: timeoutMs },
      })
    })
    try {
      return await this.#requestWithRetries(path, init, { ...way, signal: time.signal }, ends)
    } finally {
      time.end()
    }
  }

  async #requestWithRetries(path: string, init: RequestInit, way: SendOptions, ends: number): Promise<HttpResponse> {
    let failures = 0
    let refusals = 0
    for (;;) {
      const { answer, failure, retry, waitMs } = await this.#attempt(path, init, way.signal)
      if (answer) return answer
      const full = failure.code === 'overloaded'
      // A server that has no room is well: to come back is no second try.
      const again = full ? way.whenFull !== 'refuse' : failures < this.#client.maxRetries
      const wait = waitMs ?? backoff(full ? refusals++ : failures)
      if (!full) failures++
      if (!retry || !again || wait > maxWaitMs || performance.now() + wait >= ends) throw failure
      await sleep(wait, way.signal)
    }
  }

  async #attempt(
    path: string,
    init: RequestInit,
    signal: AbortSignal,
  ): Promise<
    | { answer: HttpResponse; failure?: never; retry?: never; waitMs?: never }
    | { answer?: never; failure: CosmosEmbedError; retry: boolean; waitMs?: number | undefined }
  > {
    const { base, fetch, headers } = this.#client
    let answer: HttpResponse
    try {
      signal.throwIfAborted()
      const response = await fetch(`${base}${path}`, {
        ...init,
        headers: { accept: 'application/json', ...headers, ...init.headers },
        signal,
        // Elsewhere neither the key nor the media have anything to do.
        redirect: 'manual',
      })
      answer = { status: response.status, headers: response.headers, text: await response.text() }
    } catch (cause) {
      signal.throwIfAborted()
      const failure = new RemoteError(`the server at ${new URL(base).origin} cannot be reached`, { cause })
      return { failure, retry: true }
    }
    const missing = init.method === 'GET' && (answer.status === 404 || answer.status === 405)
    if ((answer.status >= 200 && answer.status < 300) || missing) return { answer }
    const seconds = retryAfter(answer.headers)
    const waitMs = seconds === undefined ? undefined : seconds * 1000
    return { failure: parseError(answer), retry: mayRetry(answer), waitMs }
  }
}

/** Twice as long each time, and never the same for two clients. */
function backoff(tries: number): number {
  return Math.min(8000, 500 * 2 ** tries) * (0.75 + 0.25 * Math.random())
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

/** A signal that also aborts when the time is over. */
function withTimeout(
  signal: AbortSignal,
  milliseconds: number,
  reason: () => Error,
): { signal: AbortSignal; end(): void } {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(reason()), milliseconds)
  const forget = onAbort(signal, () => controller.abort(signal.reason))
  return {
    signal: controller.signal,
    end: () => {
      clearTimeout(timer)
      forget()
    },
  }
}
