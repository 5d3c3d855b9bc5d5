/** The state that all routes share, and how it is shut down. */
import type { ServerResponse } from 'node:http'
import type { WireRules } from '../request/wire.ts'
import { BodyMeter } from './body-meter.ts'
import { BodyParser } from './body-parser.ts'
import { Cancellation } from './cancellation.ts'
import { ServerClosingError } from './errors.ts'
import { loadOtelMetrics, type OtelMetrics } from './metrics/otel-metrics.ts'
import { ServiceMetrics } from './metrics/service-metrics.ts'
import { type Log, ModelState } from './model-state.ts'
import { type HttpOptions, type ResolvedHttpOptions, resolveHttpOptions } from './options.ts'
import { loadTracer, type Tracer } from './tracing.ts'

export class Service {
  readonly options: ResolvedHttpOptions
  readonly model: ModelState
  readonly meter: BodyMeter
  readonly parser: BodyParser
  readonly metrics: ServiceMetrics
  readonly tracer: Tracer | undefined
  readonly startedAt: Date = new Date()
  /** Open responses of `POST /v1/segments`. */
  segmentStreams = 0
  readonly #running = new Set<Cancellation>()
  #onIdle: (() => void) | undefined

  /** Rejects with InvalidArgumentError. */
  static async start(options: HttpOptions, log: Log): Promise<Service> {
    const resolved = resolveHttpOptions(options)
    const { tracing, otelMetrics } = resolved
    const [tracer, otel] = await Promise.all([
      tracing ? loadTracer() : undefined,
      otelMetrics ? loadOtelMetrics() : undefined,
    ])
    return new Service(resolved, log, { tracer, otel })
  }

  private constructor(
    options: ResolvedHttpOptions,
    log: Log,
    { tracer, otel }: { tracer: Tracer | undefined; otel: OtelMetrics | undefined },
  ) {
    this.options = options
    this.tracer = tracer
    this.meter = new BodyMeter(options.limits)
    this.parser = new BodyParser(options.limits)
    const state = {
      bodyBytes: () => this.meter.bytes,
      ready: () => this.model.notReadyReason === undefined,
    }
    this.metrics = new ServiceMetrics(state, otel)
    this.model = new ModelState(options.embedder, log, (embedder) => this.metrics.attach(embedder))
  }

  /** The rules that request bodies are validated against. Throws NotReadyError before the model is loaded. */
  rules(): WireRules {
    const { model, limits } = this.model.info
    const { servedNames: models, frames, embeddingDim } = model
    const openAi = this.options.inferRequestType ? { embeddingDim } : undefined
    return { models, frames, limits: limits.input, openAi }
  }

  /** Runs `task` as one of the requests that {@link Service.drain} waits for. */
  async track<T>(response: ServerResponse, task: (cancellation: Cancellation) => Promise<T>): Promise<T> {
    const cancellation = new Cancellation(response)
    this.#running.add(cancellation)
    try {
      return await task(cancellation)
    } finally {
      cancellation.end()
      this.#running.delete(cancellation)
      if (this.#running.size === 0) this.#onIdle?.()
    }
  }

  /** Refuses new requests, waits up to `deadlineMs` for those that run, then cancels the rest. */
  async drain(deadlineMs: number): Promise<void> {
    this.model.close()
    if (this.#running.size === 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const cancellation of this.#running) cancellation.abort(new ServerClosingError())
      }, deadlineMs)
      this.#onIdle = () => {
        clearTimeout(deadline)
        resolve()
      }
    })
  }

  async close(): Promise<void> {
    this.model.close()
    this.metrics.close()
    await this.parser.close()
  }
}
