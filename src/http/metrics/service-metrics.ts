/** Everything that is counted about calls that embed, in both formats. */
import { errorTable } from '../../errors.ts'
import type { Embedder, EmbedderStats, ItemEvent } from '../../types.ts'
import type { InputType } from '../parse-body.ts'
import { addGpuMetrics } from './gpu-metrics.ts'
import { JsonMetrics } from './json-metrics.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { type HistogramSample, Registry } from './prometheus.ts'

/** One call that has been answered. */
export interface CallRecord {
  /** `unknown` when the body was refused before its type was known. */
  requestType: string
  inputType: InputType | undefined
  encodingFormat: string | undefined
  status: number
  /** Error code; none when the call succeeded. */
  error: string | undefined
  seconds: number
  inputs: number
  embeddings: number
  tokens: number
  videos: number
  frames: number
}

const secondsBounds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
]
const batchBounds = [1, 2, 4, 8, 16, 32, 64]

/** Names of the stages on the wire, by the name of the embedder's timing. */
const stages = {
  download: 'download',
  open: 'demux',
  decode: 'decode',
  convert: 'preprocess',
  queue: 'queue',
  encode: 'infer',
} as const

const requestTypes = ['query', 'bulk_text', 'bulk_video', 'segments']
/** What a call may end with, besides what the embedder says. */
const transportErrors = ['bad_request', 'invalid_json', 'request_timeout', 'unsupported_media_type']
/** Cancelled calls have a counter of their own. */
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
  readonly #requests = this.registry.counter('cosmos_embed_requests_total', 'Answered embedding requests.')
  readonly #errors = this.registry.counter('cosmos_embed_request_errors_total', 'Those that failed, by type.')
  readonly #embeddings = this.registry.counter('cosmos_embed_embeddings_total', 'Vectors sent.')
  readonly #videos = this.registry.counter('cosmos_embed_videos_total', 'Videos embedded.')
  readonly #tokens = this.registry.counter('cosmos_embed_tokens_total', 'Text tokens embedded.')
  readonly #rejected = this.registry.counter(
    'cosmos_embed_rejected_total',
    'Refused for overload or readiness.',
  )
  readonly #cancelled = this.registry.counter('cosmos_embed_cancelled_total', 'Given up by their clients.')
  readonly #duration = this.registry.histogram(
    'cosmos_embed_request_duration_seconds',
    'From the request line to the answer.',
    secondsBounds,
  )
  readonly #stage = this.registry.histogram(
    'cosmos_embed_stage_duration_seconds',
    'Per item, by stage; encode is the writing of the answer.',
    secondsBounds,
  )
  /** What must be stopped at the end. */
  readonly #stops: (() => void)[] = []

  /** Both are asked when somebody looks. */
  constructor(state: { bodyBytes: () => number; ready: () => boolean }) {
    // Present from the start, so that a rate over the first event is not lost.
    for (const counter of [this.#embeddings, this.#videos, this.#tokens, this.#cancelled]) counter.add(0)
    for (const request_type of requestTypes) {
      this.#requests.add(0, { request_type, status: '200' })
      this.#inFlight.set(request_type, 0)
    }
    for (const type of errorTypes) this.#errors.add(0, { type })
    for (const reason of rejections) this.#rejected.add(0, { reason })
    this.registry.from('gauge', 'cosmos_embed_inflight_requests', 'Requests being answered.', () =>
      [...this.#inFlight].map(([request_type, value]) => ({ labels: { request_type }, value })),
    )
    this.registry.from(
      'gauge',
      'cosmos_embed_inflight_body_bytes',
      'Bytes of bodies in memory.',
      state.bodyBytes,
    )
    this.registry.from('gauge', 'cosmos_embed_ready', 'Whether requests are answered.', () =>
      Number(state.ready()),
    )
    this.#stops.push(addProcessMetrics(this.registry))
  }

  /** Adds what the embedder itself counts. */
  attach(embedder: Embedder): void {
    const { registry } = this
    this.#stops.push(embedder.observe((event) => this.#observe(event)))
    const { device } = embedder.info()
    if (device.kind === 'cuda') {
      const uuids = device.gpus.map(({ uuid }) => uuid)
      this.#stops.push(addGpuMetrics(registry, uuids))
      addDecodeMetrics(registry, embedder)
    }
    registry.from('gauge', 'cosmos_embed_queue_size', 'Items that wait, by stage.', () =>
      Object.entries(embedder.stats().queues).map(([stage, { waiting }]) => ({
        labels: { stage },
        value: waiting,
      })),
    )
    registry.from(
      'gauge',
      'cosmos_embed_inflight_items',
      'Items admitted.',
      () => embedder.stats().inFlight.items,
    )
    registry.from('gauge', 'cosmos_embed_inflight_bytes', 'Bytes of media admitted.', () => {
      return embedder.stats().inFlight.bytes
    })
    registry.histogramFrom('cosmos_embed_batch_size', 'Items per batch of the engine.', batchBounds, () =>
      batchSizes(embedder.stats()),
    )
  }

  begin(): Call {
    return new Call(this.#inFlight, (record) => this.#end(record))
  }

  /** Milliseconds that writing one answer took. */
  observeAnswer(milliseconds: number): void {
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

  #end(record: CallRecord): void {
    const { requestType: request_type, inputType: input_type = 'unknown', error } = record
    const status = String(record.status)
    this.#json.add(record)
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

type Result = Pick<CallRecord, 'status' | 'error'> &
  Partial<Pick<CallRecord, 'embeddings' | 'tokens' | 'videos' | 'frames'>>

/** One call, from its first byte to its answer. */
export class Call {
  readonly #began = performance.now()
  readonly #inFlight: Map<string, number>
  readonly #done: (record: CallRecord) => void
  #requestType = 'unknown'
  #about: Partial<Pick<CallRecord, 'inputType' | 'encodingFormat' | 'inputs'>> = {}

  constructor(inFlight: Map<string, number>, done: (record: CallRecord) => void) {
    this.#inFlight = inFlight
    this.#done = done
    this.#count(1)
  }

  /** What the body asks for, once it is parsed. */
  describe(
    requestType: string,
    about: { inputType: InputType | undefined; encodingFormat: string; inputs: number },
  ): void {
    this.#count(-1)
    this.#requestType = requestType
    this.#about = about
    this.#count(1)
  }

  end(result: Result): void {
    this.#count(-1)
    this.#done({
      requestType: this.#requestType,
      inputType: this.#about.inputType,
      encodingFormat: this.#about.encodingFormat,
      inputs: this.#about.inputs ?? 0,
      seconds: (performance.now() - this.#began) / 1000,
      embeddings: 0,
      tokens: 0,
      videos: 0,
      frames: 0,
      ...result,
    })
  }

  #count(change: number): void {
    this.#inFlight.set(this.#requestType, (this.#inFlight.get(this.#requestType) ?? 0) + change)
  }
}

/** What NVDEC does, and what the CPU decodes in its place. */
function addDecodeMetrics(registry: Registry, embedder: Embedder): void {
  const gpus =
    (samples: (gpu: EmbedderStats['gpus'][number]) => Record<string, number>, label: string) => () =>
      embedder.stats().gpus.flatMap((gpu) =>
        Object.entries(samples(gpu)).map(([name, value]) => ({
          labels: { gpu: String(gpu.device), [label]: name },
          value,
        })),
      )
  registry.from(
    'counter',
    'cosmos_embed_decoded_clips_total',
    'Clips by the decoder that made them.',
    gpus(({ nvdec, software }) => ({ nvdec, software }), 'decoder'),
  )
  registry.from(
    'gauge',
    'cosmos_embed_nvdec_clips',
    'Clips in NVDEC, and waiting for it.',
    gpus(({ nvdecRunning, nvdecWaiting }) => ({ running: nvdecRunning, waiting: nvdecWaiting }), 'state'),
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
