/** What all routes share, and the way it ends. */
import type { ServerResponse } from 'node:http'
import type { WireRules } from '../request/wire.ts'
import { BodyMeter } from './body.ts'
import { BodyParser } from './body-parser.ts'
import { StoppingError } from './errors.ts'
import { ServiceMetrics } from './metrics/service-metrics.ts'
import { type HttpOptions, type ResolvedHttpOptions, resolveOptions } from './options.ts'
import { type Log, ServedModel } from './served-model.ts'
import { loadTracer, type Tracer } from './tracing.ts'
import { Work } from './work.ts'

export class Service {
  readonly options: ResolvedHttpOptions
  readonly model: ServedModel
  readonly meter: BodyMeter
  readonly parser: BodyParser
  readonly metrics: ServiceMetrics
  readonly tracer: Tracer | undefined
  readonly startedAt: Date = new Date()
  /** Answers of `POST /v1/segments` that are under way. */
  segmentStreams = 0
  readonly #works = new Set<Work>()
  #onIdle: (() => void) | undefined

  static async start(options: HttpOptions, log: Log): Promise<Service> {
    const resolved = resolveOptions(options)
    return new Service(resolved, log, resolved.tracing ? await loadTracer() : undefined)
  }

  private constructor(options: ResolvedHttpOptions, log: Log, tracer: Tracer | undefined) {
    this.options = options
    this.tracer = tracer
    this.meter = new BodyMeter(options.limits)
    this.parser = new BodyParser(options.limits)
    this.metrics = new ServiceMetrics({
      bodyBytes: () => this.meter.bytes,
      ready: () => this.model.reason === undefined,
    })
    this.model = new ServedModel(options.embedder, log, (embedder) => this.metrics.attach(embedder))
  }

  /** What a body is checked against. */
  rules(): WireRules {
    const { model, limits } = this.model.info
    const { servedNames: models, frames, embeddingDim } = model
    const openAi = this.options.inferRequestType ? { embeddingDim } : undefined
    return { models, frames, limits: limits.input, openAi }
  }

  /** Runs `task` as a part of what `drain` waits for. */
  async work<T>(response: ServerResponse, task: (work: Work) => Promise<T>): Promise<T> {
    const work = new Work(response)
    this.#works.add(work)
    try {
      return await task(work)
    } finally {
      work.end()
      this.#works.delete(work)
      if (this.#works.size === 0) this.#onIdle?.()
    }
  }

  /** Refuses new work, waits up to `deadlineMs` for what runs, then cancels the rest. */
  async drain(deadlineMs: number): Promise<void> {
    this.model.close()
    if (this.#works.size === 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const work of this.#works) work.abort(new StoppingError())
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
