/** Counters, gauges and histograms in Prometheus' text format 0.0.4. CONTRIBUTING.md says why this is not prom-client. */

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  labels?: Labels
  value: number
}

export interface HistogramSample {
  labels?: Labels
  /** For each upper bound, the number of observations not above it. */
  cumulative: readonly number[]
  count: number
  sum: number
}

interface Metric {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  lines(): string[]
}

export class Registry {
  readonly #metrics: Metric[] = []

  counter(name: string, help: string): Counter {
    const counter = new Counter()
    this.callback('counter', name, help, () => counter.samples())
    return counter
  }

  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const histogram = new Histogram(bounds)
    this.histogramCallback(name, help, bounds, () => histogram.samples())
    return histogram
  }

  /** A counter or gauge whose values are read at each scrape. */
  callback(
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: () => number | readonly Sample[],
  ): void {
    const lines = () => {
      const values = read()
      const samples: readonly Sample[] = typeof values === 'number' ? [{ value: values }] : values
      return samples.map(({ labels, value }) => `${name}${labelText(labels)} ${number(value)}`)
    }
    this.#metrics.push({ name, help, type, lines })
  }

  /** A histogram whose buckets are read at each scrape. */
  histogramCallback(
    name: string,
    help: string,
    bounds: readonly number[],
    read: () => readonly HistogramSample[],
  ): void {
    const lines = () => read().flatMap((sample) => histogramLines(name, bounds, sample))
    this.#metrics.push({ name, help, type: 'histogram', lines })
  }

  render(): string {
    return this.#metrics
      .flatMap(({ name, help, type, lines }) => [
        `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
        `# TYPE ${name} ${type}`,
        ...lines(),
      ])
      .map((line) => `${line}\n`)
      .join('')
  }
}

export class Counter {
  readonly #values = new Map<string, { labels: Labels; value: number }>()

  add(amount: number, labels: Labels = {}): void {
    const key = labelText(labels)
    const entry = this.#values.get(key)
    if (entry) entry.value += amount
    else this.#values.set(key, { labels, value: amount })
  }

  samples(): Sample[] {
    return [...this.#values.values()]
  }
}

export class Histogram {
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { labels: Labels; buckets: number[]; count: number; sum: number }>()

  /** `bounds`: upper bounds, ascending, without +Inf. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
  }

  observe(value: number, labels: Labels = {}): void {
    const key = labelText(labels)
    let series = this.#series.get(key)
    if (!series) {
      series = { labels, buckets: this.#bounds.map(() => 0), count: 0, sum: 0 }
      this.#series.set(key, series)
    }
    const { buckets } = series
    this.#bounds.forEach((bound, at) => {
      if (value <= bound) buckets[at] = (buckets[at] ?? 0) + 1
    })
    series.count += 1
    series.sum += value
  }

  samples(): HistogramSample[] {
    return [...this.#series.values()].map(({ labels, buckets, count, sum }) => ({
      labels,
      cumulative: buckets,
      count,
      sum,
    }))
  }
}

function histogramLines(name: string, bounds: readonly number[], sample: HistogramSample): string[] {
  const { labels = {}, cumulative, count, sum } = sample
  const bucket = (le: string, value: number) => `${name}_bucket${labelText({ ...labels, le })} ${value}`
  return [
    ...bounds.map((bound, at) => bucket(String(bound), cumulative[at] ?? 0)),
    bucket('+Inf', count),
    `${name}_sum${labelText(labels)} ${number(sum)}`,
    `${name}_count${labelText(labels)} ${count}`,
  ]
}

function labelText(labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
    return `${name}="${escaped}"`
  })
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function number(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}
