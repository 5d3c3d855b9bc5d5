/** Percentiles and rates for the JSON metrics. Prometheus computes its own from counters and histograms. */

const sampleSize = 1024

export interface Summary {
  p50: number
  p95: number
  p99: number
  'p99.9': number
  min: number
  max: number
  avg: number
  count: number
}

/** Percentiles of the last 1024 values; `min`, `max`, `avg` and `count` of all values. */
export class LatencyStats {
  readonly #recent: number[] = []
  #count = 0
  #sum = 0
  #min = Number.POSITIVE_INFINITY
  #max = 0

  add(value: number): void {
    this.#recent[this.#count % sampleSize] = value
    this.#count += 1
    this.#sum += value
    this.#min = Math.min(this.#min, value)
    this.#max = Math.max(this.#max, value)
  }

  summary(): Summary {
    const sorted = [...this.#recent].sort((a, b) => a - b)
    const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
    return {
      p50: at(0.5),
      p95: at(0.95),
      p99: at(0.99),
      'p99.9': at(0.999),
      min: this.#count === 0 ? 0 : this.#min,
      max: this.#max,
      avg: this.#count === 0 ? 0 : this.#sum / this.#count,
      count: this.#count,
    }
  }
}

const ringSeconds = 15 * 60

/** Counts requests of the last 15 minutes in a ring of seconds. */
export class RequestRate {
  readonly #counts: number[] = new Array(ringSeconds).fill(0)
  readonly #now: () => number
  #latest: number

  /** `now` returns milliseconds. */
  constructor(now: () => number) {
    this.#now = now
    this.#latest = this.#second()
  }

  add(): void {
    this.#clearExpired()
    const slot = this.#latest % ringSeconds
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1
  }

  /** Requests per minute, averaged over the last `minutes`, at most 15. */
  perMinute(minutes: number): number {
    this.#clearExpired()
    let sum = 0
    for (let back = 0; back < minutes * 60; back += 1) {
      sum += this.#counts[(this.#latest - back + ringSeconds) % ringSeconds] ?? 0
    }
    return sum / minutes
  }

  #clearExpired(): void {
    const second = this.#second()
    const passed = Math.min(ringSeconds, second - this.#latest)
    for (let ahead = 1; ahead <= passed; ahead += 1) this.#counts[(this.#latest + ahead) % ringSeconds] = 0
    this.#latest = second
  }

  #second(): number {
    return Math.floor(this.#now() / 1000)
  }
}

/** Counts by name. Serializes to an object. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(name: string, amount = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + amount)
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}

/** {@link LatencyStats} by name. */
export class LatencyStatsByName {
  readonly #by = new Map<string, LatencyStats>()

  add(name: string, value: number): void {
    const stats = this.#by.get(name) ?? new LatencyStats()
    this.#by.set(name, stats)
    stats.add(value)
  }

  toJSON(): Record<string, Pick<Summary, 'p50' | 'p95' | 'p99' | 'avg' | 'count'>> {
    return Object.fromEntries(
      [...this.#by].map(([name, stats]) => {
        const { p50, p95, p99, avg, count } = stats.summary()
        return [name, { p50, p95, p99, avg, count }]
      }),
    )
  }
}
