/** The body of `GET /health/metrics`, with every key that the NIM documents. Times are in seconds. */
import type { InputType } from '../parse-body.ts'
import type { RequestRecord } from './request-record.ts'
import { LatencyStats, LatencyStatsByName, RequestRate, Tally } from './rolling-stats.ts'

const percent = (part: number, whole: number) => (whole === 0 ? 0 : (100 * part) / whole)

export class JsonMetrics {
  readonly #started = new Date()
  readonly #rate = new RequestRate(() => performance.now())
  readonly #statuses = new Tally()
  readonly #classes = new Tally()
  readonly #formats = new Tally()
  readonly #succeeded = new OutcomeStats()
  readonly #failed = new OutcomeStats()
  readonly #business = { embeddings: 0, tokens: 0, videos: 0, frames: 0, failedInputs: 0 }

  add(record: RequestRecord): void {
    this.#rate.add()
    this.#statuses.add(String(record.status))
    if (record.encodingFormat) this.#formats.add(record.encodingFormat)
    if (record.error === undefined) this.#succeeded.add(record)
    else {
      this.#failed.add(record)
      this.#classes.add(classOf(record.error))
    }
    this.#business.embeddings += record.embeddings
    this.#business.tokens += record.tokens
    this.#business.videos += record.videos
    this.#business.frames += record.frames
    this.#business.failedInputs += record.error === undefined ? 0 : record.inputs
  }

  /** `inFlight`: the number of running requests, by request type. */
  report(inFlight: ReadonlyMap<string, number>): Record<string, unknown> {
    const success = this.#succeeded.count
    const error = this.#failed.count
    const totals = new Tally()
    for (const stats of [this.#succeeded, this.#failed]) {
      for (const [type, count] of Object.entries(stats.byInputType.toJSON())) totals.add(type, count)
    }
    const { count: _, ...latency } = this.#succeeded.latency.summary()
    const { count: __, ...errorLatency } = this.#failed.latency.summary()
    return {
      service: {
        uptime_seconds: (Date.now() - this.#started.getTime()) / 1000,
        start_time: this.#started.toISOString(),
      },
      requests: {
        total: success + error,
        success,
        error,
        success_rate_percent: percent(success, success + error),
        error_rate_percent: percent(error, success + error),
        in_flight: [...inFlight.values()].reduce((sum, count) => sum + count, 0),
        in_flight_by_type: Object.fromEntries([...inFlight].filter(([, count]) => count > 0)),
      },
      requests_by_type: { success: this.#succeeded.byType, error: this.#failed.byType },
      requests_by_input_type: {
        total: totals,
        success: this.#succeeded.byInputType,
        error: this.#failed.byInputType,
      },
      encoding_format_distribution: this.#formats,
      status_codes: this.#statuses,
      errors_by_classification: this.#classes,
      latency,
      latency_by_type: this.#succeeded.latencyByType,
      latency_by_input_type: this.#succeeded.latencyByInputType,
      error_latency: errorLatency,
      error_latency_by_type: this.#failed.latencyByType,
      error_latency_by_input_type: this.#failed.latencyByInputType,
      throughput: {
        requests_per_minute: {
          '1min': this.#rate.perMinute(1),
          '5min': this.#rate.perMinute(5),
          '15min': this.#rate.perMinute(15),
        },
      },
      business_metrics: {
        total_embeddings: this.#business.embeddings,
        total_tokens: this.#business.tokens,
        total_videos: this.#business.videos,
        total_video_frames: this.#business.frames,
        failed_inputs_total: this.#business.failedInputs,
      },
      // Always zero: a failed download fails its request, and the client decides whether to retry.
      retries: { total: 0, success: 0, failure: 0, success_rate_percent: 0, last_retry_time: null },
    }
  }
}

/** Statistics kept separately for requests that succeeded and requests that failed. */
class OutcomeStats {
  count = 0
  readonly byType = new Tally()
  readonly byInputType = new Tally()
  readonly latency = new LatencyStats()
  readonly latencyByType = new LatencyStatsByName()
  readonly latencyByInputType = new LatencyStatsByName()

  add({ requestType, inputType, seconds }: RequestRecord): void {
    const input: InputType | 'unknown' = inputType ?? 'unknown'
    this.count += 1
    this.byType.add(requestType)
    this.byInputType.add(input)
    this.latency.add(seconds)
    this.latencyByType.add(requestType, seconds)
    this.latencyByInputType.add(input, seconds)
  }
}

function classOf(code: string): string {
  return code === 'download_failed' || code === 'download_rejected' ? 'download_error' : code
}
