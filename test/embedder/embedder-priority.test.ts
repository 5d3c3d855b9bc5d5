/** Checks what queries wait for, with random arrivals and jobs that the test ends. */
import { describe, expect, it } from 'vitest'
import type { Embedder } from '../../src/index.ts'
import { MAX_OVERTAKES } from '../../src/schedule/priority-queue.ts'
import type { BindingDouble } from './double.ts'
import { random } from './random.ts'
import { nothingLeft, open, turns } from './support.ts'

// The double identifies a clip by its first byte and a text by its number of tokens: its letters plus two.
const bulkClips = 150
const isQueryClip = (id: number) => id >= bulkClips
const isQueryText = (tokens: number) => tokens > 16

/** Queries at one time: as many as admission reserves room for. */
const mostQueries = 6

interface Waiting {
  /** Number of entries that had started when it arrived. */
  since: number
  began(): number
}

/** Bulk entries that started while it waited. Bulk may take one turn in nine. */
function expectPromptness(log: readonly boolean[], { since, began }: Waiting) {
  const meanwhile = log.slice(since, began())
  const bulk = meanwhile.filter((isQuery) => !isQuery).length
  const queries = meanwhile.length - bulk
  expect(bulk, 'bulk work that began while a query waited').toBeLessThanOrEqual(
    Math.ceil((queries + 1) / MAX_OVERTAKES),
  )
}

class Machine {
  readonly double: BindingDouble
  readonly below: (n: number) => number
  /** Calls without a result yet. */
  queries = 0
  readonly waiting: [log: () => boolean[], waiting: Waiting][] = []

  constructor(double: BindingDouble, below: (n: number) => number) {
    this.double = double
    this.below = below
  }

  decodes = () => this.double.decoded.map(isQueryClip)
  batches = () =>
    this.double.batches.map(({ kind, ids }) => (kind === 'text' ? isQueryText : isQueryClip)(ids[0] ?? 0))

  /** Ends one running job, if there is one. */
  async step() {
    const jobs = [...this.double.decoding.jobs, ...this.double.encoding.jobs]
    jobs[this.below(Math.max(1, jobs.length))]?.finish()
    await turns(6)
    // A batch that waits for more items needs the clock to advance.
    if (jobs.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  }

  async queryClip(id: number, start: (clip: Uint8Array) => Promise<unknown>) {
    const done = this.#asked(start(Uint8Array.of(id, 0)))
    await turns(6)
    const since = this.double.decoded.length
    this.waiting.push([
      this.decodes,
      { since, began: () => Math.max(since, this.double.decoded.indexOf(id)) },
    ])
    return { done }
  }

  #asked(query: Promise<unknown>): Promise<unknown> {
    this.queries++
    return query.finally(() => this.queries--)
  }

  async queryText(tokens: number, start: (text: string) => Promise<unknown>) {
    const done = this.#asked(start('q'.repeat(tokens - 2)))
    await turns(6)
    const since = this.double.batches.length
    const began = () =>
      this.double.batches.findIndex(({ kind, ids }) => kind === 'text' && ids.includes(tokens))
    this.waiting.push([this.batches, { since, began: () => Math.max(since, began()) }])
    return { done }
  }
}

/** Bulk items and queries arrive at random, and jobs end in between. */
async function arrivals(embedder: Embedder, machine: Machine): Promise<Promise<unknown>[]> {
  const { below } = machine
  const running: Promise<unknown>[] = []
  let [clips, texts] = [bulkClips, 17]
  for (let i = 0; i < 80; i++) {
    const what = below(10)
    if (what < 2) {
      const ids = Array.from({ length: 1 + below(40) }, () => below(bulkClips))
      running.push(embedder.embedMany(ids.map((id) => ({ video: Uint8Array.of(id, 0) }))))
    } else if (what < 3) {
      const input = Array.from({ length: 1 + below(8) }, () => 'b'.repeat(1 + below(9)))
      running.push(embedder.embed({ request_type: 'bulk_text', input }))
    } else if (what < 5 && machine.queries >= mostQueries) {
      await machine.step()
    } else if (what < 4 && clips < 250) {
      running.push((await machine.queryClip(clips++, (video) => embedder.embedVideo(video))).done)
    } else if (what < 5 && texts < 32) {
      running.push((await machine.queryText(texts++, (text) => embedder.embedText(text))).done)
    } else {
      await machine.step()
    }
  }
  return running
}

describe('a query never waits for more bulk work than what already runs', () => {
  const seeds = Array.from({ length: 24 }, (_, seed) => ({ seed }))
  it.each(seeds)('seed $seed', async ({ seed }) => {
    const below = random(seed)
    const both = await open({
      decode: { concurrency: 1 + below(3) },
      batching: { maxVideoBatch: 1 + below(4), maxTextBatch: 1 + below(8), maxQueueDelayMs: below(2) },
      // Limits so low that bulk fills its share of what may be in flight; the rest is for this many queries.
      limits: { maxItems: 8, maxItemsInFlight: 8 * mostQueries },
    })
    const { embedder, double } = both
    double.decoding.held = true
    double.encoding.held = true
    const machine = new Machine(double, below)
    const running = await arrivals(embedder, machine)
    while (embedder.stats().inFlight.items > 0) await machine.step()
    await Promise.all(running)
    expect(machine.waiting.length).toBeGreaterThan(3)
    for (const [log, waiting] of machine.waiting) expectPromptness(log(), waiting)
    nothingLeft(both)
  })
})

it('a full batch does not wait for another one to fill', async () => {
  const { embedder, double } = await open({ batching: { maxTextBatch: 3, maxQueueDelayMs: 60_000 } })
  const alone = embedder.embedVideo(Uint8Array.of(1, 0), { priority: 'bulk' })
  await turns(10)
  expect(double.batches).toEqual([])
  const three = embedder.embedMany(['a', 'b', 'c'].map((text) => ({ text })))
  expect(await three).toHaveLength(3)
  expect(double.batches.map(({ size }) => size)).toEqual([3])
  // A query does not wait for more items either while bulk could run: it goes first.
  const more = embedder.embedMany(['a', 'b', 'c'].map((text) => ({ text })))
  const query = embedder.embedText('query')
  await Promise.all([query, more])
  expect(double.batches.map(({ size }) => size)).toEqual([3, 1, 3])
  const company = Array.from({ length: 7 }, () =>
    embedder.embedVideo(Uint8Array.of(2, 0), { priority: 'bulk' }),
  )
  await Promise.all([alone, ...company])
})
