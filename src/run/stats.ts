/** Counts what an embedder does. */
import { publish } from '../base/diagnostics.ts'
import type { CallOutcome } from '../call/calls.ts'
import type { EmbedderStats, ItemEvent, ItemKind, LatencySummary, Timings } from '../types.ts'

export type BatchKind = 'text' | 'video'
/** The counted part of EmbedderStats. The rest is read from the queues and devices. */
export type CountedStats = Omit<EmbedderStats, 'inFlight' | 'queues' | 'gpus'>

const STAGES = ['download', 'open', 'decode', 'convert', 'queue', 'encode', 'total'] as const

export function noTime(): Timings {
  return { download: 0, open: 0, decode: 0, convert: 0, queue: 0, encode: 0, total: 0 }
}

/** Sums the stages. `total` stays 0, because only the caller knows the wall time. */
export function sumTimings(all: Iterable<Timings>): Timings {
  const sum = noTime()
  for (const timings of all) {
    for (const stage of STAGES) if (stage !== 'total') sum[stage] += timings[stage]
  }
  return sum
}

/** Counters and latencies of one embedder since it was created. */
export class Stats {
  readonly #started = performance.now()
  readonly #requests = { total: 0, succeeded: 0, failed: 0, cancelled: 0, rejected: 0 }
  readonly #items: Record<ItemKind, number> = { text: 0, video: 0, frames: 0 }
  readonly #errors: Record<string, number> = {}
  readonly #batches = { text: new BatchCounter(), video: new BatchCounter() }
  readonly #latencies = Object.fromEntries(STAGES.map((stage) => [stage, new LatencyRing()])) as Record<
    keyof Timings,
    LatencyRing
  >
  readonly #listeners = new Set<(event: ItemEvent) => void>()
  #cancelled = 0
  #tokens = 0

  observe(listener: (event: ItemEvent) => void): () => void {
    // A wrapper, because the same function may be registered twice.
    const entry = (event: ItemEvent) => listener(event)
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  callEnded(outcome: CallOutcome, milliseconds: number): void {
    this.#requests.total++
    this.#requests[outcome]++
    publish('cosmos-embed:call', { outcome, milliseconds })
  }

  itemEnded(event: ItemEvent, tokens: number): void {
    if (event.outcome === 'ok') {
      this.#items[event.kind]++
      this.#tokens += tokens
      // A stage that took no time was skipped and is not a sample.
      for (const stage of STAGES)
        if (event.timings[stage] > 0) this.#latencies[stage].add(event.timings[stage])
    } else if (event.outcome === 'cancelled') {
      this.#cancelled++
    } else {
      const code = event.code ?? 'internal'
      this.#errors[code] = (this.#errors[code] ?? 0) + 1
    }
    publish('cosmos-embed:item', event)
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        // As with event targets, an error in a listener is an uncaught exception and does not fail the item.
        process.nextTick(() => {
          throw error
        })
      }
    }
  }

  batchEnded(kind: BatchKind, size: number, milliseconds: number): void {
    this.#batches[kind].add(size)
    publish('cosmos-embed:batch', { kind, size, milliseconds })
  }

  /** Seconds after which a retry may find room: the current median duration of an item, 1 to 60. */
  retryAfter(): number {
    return Math.min(60, Math.max(1, Math.ceil(this.#latencies.total.summary().p50 / 1000)))
  }

  snapshot(): CountedStats {
    return {
      uptimeSeconds: (performance.now() - this.#started) / 1000,
      requests: { ...this.#requests },
      items: { ...this.#items },
      errors: { ...this.#errors },
      cancelled: this.#cancelled,
      tokens: this.#tokens,
      batches: { text: this.#batches.text.summary(), video: this.#batches.video.summary() },
      stages: Object.fromEntries(
        STAGES.map((stage) => [stage, this.#latencies[stage].summary()]),
      ) as EmbedderStats['stages'],
    }
  }
}

class BatchCounter {
  readonly #sizes: Record<number, number> = {}
  #count = 0
  #items = 0

  add(size: number) {
    this.#count++
    this.#items += size
    this.#sizes[size] = (this.#sizes[size] ?? 0) + 1
  }

  summary(): EmbedderStats['batches']['text'] {
    return { count: this.#count, items: this.#items, sizes: { ...this.#sizes } }
  }
}

/** A ring buffer of the latest samples. */
class LatencyRing {
  readonly #ring = new Float64Array(1024)
  #count = 0
  #sum = 0

  add(ms: number) {
    this.#ring[this.#count % this.#ring.length] = ms
    this.#count++
    this.#sum += ms
  }

  summary(): LatencySummary {
    const latest = this.#ring.slice(0, this.#count).sort()
    const at = (share: number) => latest[Math.ceil(share * latest.length) - 1] ?? 0
    return { count: this.#count, sum: this.#sum, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
  }
}
