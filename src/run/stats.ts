import { channel } from 'node:diagnostics_channel'
import type { EmbedderStats, ItemEvent, ItemKind, LatencySummary, Timings } from '../types.ts'

export type CallOutcome = 'succeeded' | 'failed' | 'cancelled' | 'rejected'
export type BatchKind = 'text' | 'video'
/** What this file counts; the rest of EmbedderStats is read off the queues and the devices. */
export type Counted = Omit<EmbedderStats, 'inFlight' | 'queues' | 'gpus'>

const STAGES = ['download', 'open', 'decode', 'convert', 'queue', 'encode', 'total'] as const

export function noTime(): Timings {
  return { download: 0, open: 0, decode: 0, convert: 0, queue: 0, encode: 0, total: 0 }
}

/** Sums of the stages. `total` is left to the caller, who knows the wall time. */
export function sumTimings(all: Iterable<Timings>): Timings {
  const sum = noTime()
  for (const timings of all) {
    for (const stage of STAGES) if (stage !== 'total') sum[stage] += timings[stage]
  }
  return sum
}

/** Of every embedder of the process: for tools that watch and were not told of any. */
const itemChannel = channel('cosmos-embed:item')

/** Counters and latencies of one embedder, since it was made. */
export class Stats {
  readonly #started = performance.now()
  readonly #requests = { total: 0, succeeded: 0, failed: 0, cancelled: 0, rejected: 0 }
  readonly #items: Record<ItemKind, number> = { text: 0, video: 0, frames: 0 }
  readonly #errors: Record<string, number> = {}
  readonly #batches = { text: new Batches(), video: new Batches() }
  readonly #latencies = Object.fromEntries(STAGES.map((stage) => [stage, new Latencies()])) as Record<
    keyof Timings,
    Latencies
  >
  readonly #listeners = new Set<(event: ItemEvent) => void>()
  #cancelled = 0
  #tokens = 0

  observe(listener: (event: ItemEvent) => void): () => void {
    const own = (event: ItemEvent) => listener(event)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  callEnded(outcome: CallOutcome): void {
    this.#requests.total++
    this.#requests[outcome]++
  }

  itemEnded(event: ItemEvent, tokens: number): void {
    if (event.outcome === 'ok') {
      this.#items[event.kind]++
      this.#tokens += tokens
      // A stage that an item did not pass through took it no time, and is no sample of that stage.
      for (const stage of STAGES)
        if (event.timings[stage] > 0) this.#latencies[stage].add(event.timings[stage])
    } else if (event.outcome === 'cancelled') {
      this.#cancelled++
    } else {
      const code = event.code ?? 'internal'
      this.#errors[code] = (this.#errors[code] ?? 0) + 1
    }
    if (itemChannel.hasSubscribers) itemChannel.publish(event)
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        // Like an event target: a listener's fault is the process's to see, not the item's to suffer.
        process.nextTick(() => {
          throw error
        })
      }
    }
  }

  batchEnded(kind: BatchKind, size: number): void {
    this.#batches[kind].add(size)
  }

  /** Seconds after which another try may find room: about as long as an item takes from call to answer now. */
  retryAfter(): number {
    return Math.min(60, Math.max(1, Math.ceil(this.#latencies.total.summary().p50 / 1000)))
  }

  snapshot(): Counted {
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

class Batches {
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

/** A ring of the latest samples. */
class Latencies {
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
