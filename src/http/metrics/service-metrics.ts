/** Counts requests that embed, for Prometheus and as JSON. */
import { publish } from '../../base/diagnostics.ts'
import { errorTable } from '../../errors.ts'
import type { DecoderStats, Embedder, EmbedderStats, ItemEvent, RequestEvent } from '../../types.ts'
import { addGpuMetrics } from './gpu-metrics.ts'
import { JsonMetrics } from './json-metrics.ts'
import type { OtelMetrics } from './otel-metrics.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { type HistogramSample, Registry } from './prometheus.ts'
import { type RequestRecord, RequestRecorder } from './request-record.ts'

const secondsBounds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
]
const batchBounds = [1, 2, 4, 8, 16, 32, 64]

/** The `stage` labels, by the names of the embedder's timings. */
const stages = {
  download: 'download',
  open: 'demux',
  decode: 'decode',
  convert: 'preprocess',
  queue: 'queue',
  encode: 'infer',
} as const

const requestTypes = ['query', 'bulk_text', 'bulk_video', 'segments']
/** Errors that only HTTP can end a request with. */
const transportErrors = ['bad_request', 'invalid_json', 'request_timeout', 'unsupported_media_type']
/** Without cancelled requests, which have their own counter. */
const errorTypes = [...transportErrors, ...Object.keys(errorTable)].filter((code) => code !== 'cancelled')
const rejections = Object.entries(errorTable).flatMap(([code, { status }]) =>
  isRejection(status) ? [code] : [],
)

function isRejection(status: number): boolean {
  return status === 429 || status === 503
}

export class ServiceMetrics {
  readonly registry: Registry = new Registry()
  readonly #json = new JsonMetrics()
  readonly #inFlight = new Map<string, number>()
  readonly #requests = this.registry.counter(
    'cosmos_embed_requests_total',
    'Embedding requests that have ended.',
  )
  readonly #errors = this.registry.counter(
    'cosmos_embed_request_errors_total',
    'Failed embedding requests, by error type.',
  )
  readonly #embeddings = this.registry.counter('cosmos_embed_embeddings_total', 'Vectors sent.')
  readonly #videos = this.registry.counter('cosmos_embed_videos_total', 'Videos embedded.')
  readonly #tokens = this.registry.counter('cosmos_embed_tokens_total', 'Text tokens embedded.')
  readonly #rejected = this.registry.counter(
    'cosmos_embed_rejected_total',
    'Requests refused with 429 or 503.',
  )
  readonly #cancelled = this.registry.counter(
    'cosmos_embed_cancelled_total',
    'Requests cancelled by their clients.',
  )
  readonly #duration = this.registry.histogram(
    'cosmos_embed_request_duration_seconds',
    'Time from the request line to the response.',
    secondsBounds,
  )
  readonly #stage = this.registry.histogram(
    'cosmos_embed_stage_duration_seconds',
    'Time per item and stage; encode is the serialization of the response.',
    secondsBounds,
  )
  /** Ends the background measurements. */
  readonly #stops: (() => void)[] = []

  readonly #otel: OtelMetrics | undefined

  /** Both functions are called when metrics are scraped. */
  constructor(state: { bodyBytes: () => number; ready: () => boolean }, otel?: OtelMetrics) {
    this.#otel = otel
    // Zero from the start: a rate needs two samples, so the first event would otherwise be lost.
    for (const counter of [this.#embeddings, this.#videos, this.#tokens, this.#cancelled]) counter.add(0)
    for (const request_type of requestTypes) {
      this.#requests.add(0, { request_type, status: '200' })
      this.#inFlight.set(request_type, 0)
    }
    for (const type of errorTypes) this.#errors.add(0, { type })
    for (const reason of rejections) this.#rejected.add(0, { reason })
    this.registry.callback('gauge', 'cosmos_embed_inflight_requests', 'Embedding requests in flight.', () =>
      [...this.#inFlight].map(([request_type, value]) => ({ labels: { request_type }, value })),
    )
    this.registry.callback(
      'gauge',
      'cosmos_embed_inflight_body_bytes',
      'Bytes of request bodies in memory.',
      state.bodyBytes,
    )
    this.registry.callback('gauge', 'cosmos_embed_ready', 'Whether the server is ready.', () =>
      Number(state.ready()),
    )
    this.#stops.push(addProcessMetrics(this.registry))
  }

  /** Adds the metrics of the embedder, once it is loaded. */
  attach(embedder: Embedder): void {
    const { registry } = this
    this.#stops.push(embedder.observe((event) => this.#observe(event)))
    if (this.#otel) this.#stops.push(this.#otel.attach(embedder))
    const { device } = embedder.info()
    if (device.kind === 'cuda') {
      const uuids = device.gpus.map(({ uuid }) => uuid)
      this.#stops.push(addGpuMetrics(registry, uuids))
      addDecodeMetrics(registry, embedder)
    }
    if (embedder.info().decoders) addDecoderMetrics(registry, embedder)
    registry.callback('gauge', 'cosmos_embed_queue_size', 'Items waiting, by stage.', () =>
      Object.entries(embedder.stats().queues).map(([stage, { waiting }]) => ({
        labels: { stage },
        value: waiting,
      })),
    )
    registry.callback(
      'gauge',
      'cosmos_embed_inflight_items',
      'Items admitted.',
      () => embedder.stats().inFlight.items,
    )
    registry.callback('gauge', 'cosmos_embed_inflight_bytes', 'Bytes of media admitted.', () => {
      return embedder.stats().inFlight.bytes
    })
    registry.histogramCallback('cosmos_embed_batch_size', 'Items per batch of the engine.', batchBounds, () =>
      batchSizes(embedder.stats()),
    )
  }

  startRequest(): RequestRecorder {
    return new RequestRecorder(this.#inFlight, (record) => this.#end(record))
  }

  /** `milliseconds`: how long serializing one response took. */
  observeSerialization(milliseconds: number): void {
    this.#stage.observe(milliseconds / 1000, { stage: 'encode' })
  }

  json(): Record<string, unknown> {
    return this.#json.report(this.#inFlight)
  }

  close(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }

  #observe({ timings }: ItemEvent): void {
    for (const [timing, stage] of Object.entries(stages)) {
      const milliseconds = timings[timing as keyof typeof stages]
      if (milliseconds > 0) this.#stage.observe(milliseconds / 1000, { stage })
    }
  }

  #end(record: RequestRecord): void {
    const { requestType: request_type, inputType: input_type = 'unknown', error } = record
    const status = String(record.status)
    this.#json.add(record)
    const event = eventOf(record)
    publish('cosmos-embed:request', event)
    this.#otel?.record(event)
    this.#requests.add(1, { request_type, status })
    this.#duration.observe(record.seconds, { request_type, input_type, status })
    if (error === 'cancelled') this.#cancelled.add(1)
    else if (error !== undefined) this.#errors.add(1, { type: error })
    if (isRejection(record.status)) this.#rejected.add(1, { reason: error ?? 'unknown' })
    this.#embeddings.add(record.embeddings)
    this.#videos.add(record.videos)
    this.#tokens.add(record.tokens)
  }
}

function eventOf(record: RequestRecord): RequestEvent {
  const { requestType, status, error, inputs, embeddings, seconds } = record
  const code = error === undefined ? {} : { code: error }
  return { requestType, status, ...code, inputs, embeddings, milliseconds: seconds * 1000 }
}

/** Clips decoded by NVDEC, and by the CPU in its place. */
function addDecodeMetrics(registry: Registry, embedder: Embedder): void {
  const gpus =
    (samples: (gpu: EmbedderStats['gpus'][number]) => Record<string, number>, label: string) => () =>
      embedder.stats().gpus.flatMap((gpu) =>
        Object.entries(samples(gpu)).map(([name, value]) => ({
          labels: { gpu: String(gpu.device), [label]: name },
          value,
        })),
      )
  registry.callback(
    'counter',
    'cosmos_embed_decoded_clips_total',
    'Decoded clips, by decoder.',
    gpus(({ nvdec, software }) => ({ nvdec, software }), 'decoder'),
  )
  registry.callback(
    'gauge',
    'cosmos_embed_nvdec_clips',
    'Clips running in NVDEC, and waiting for it.',
    gpus(({ nvdecRunning, nvdecWaiting }) => ({ running: nvdecRunning, waiting: nvdecWaiting }), 'state'),
  )
}

/** The processes that decode media. */
function addDecoderMetrics(registry: Registry, embedder: Embedder): void {
  const samples = (names: readonly (keyof DecoderStats)[], label: string) => () => {
    const { decoders } = embedder.stats()
    return decoders ? names.map((name) => ({ labels: { [label]: name }, value: decoders[name] })) : []
  }
  registry.callback(
    'gauge',
    'cosmos_embed_decoder_processes',
    'Decoder processes, by state.',
    samples(['idle', 'busy'], 'state'),
  )
  registry.callback(
    'counter',
    'cosmos_embed_decoder_processes_total',
    'Decoder processes that were started, crashed on a file, were ended for lateness, or retired.',
    samples(['started', 'crashed', 'ended', 'retired'], 'event'),
  )
}

function batchSizes({ batches }: EmbedderStats): HistogramSample[] {
  return Object.entries(batches).map(([kind, { count, items, sizes }]) => ({
    labels: { kind },
    cumulative: batchBounds.map((bound) =>
      Object.entries(sizes).reduce((sum, [size, times]) => (Number(size) <= bound ? sum + times : sum), 0),
    ),
    count,
    sum: items,
  }))
}
