import { describe, expect, it } from 'vitest'
import { Batcher } from '../../src/schedule/batcher.ts'
import { MAX_OVERTAKES, type Priority } from '../../src/schedule/priority-queue.ts'
import { random } from '../embedder/random.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const max = { video: 3, text: 5 }
const budget = 40

interface Item {
  kind: 'text' | 'video'
  length: number
  id: number
  priority: Priority
  abort: AbortController
  settled: number
  outcome?: unknown
  /** Its batch has completed; the item itself may settle a few microtasks later. */
  answered?: true
  /** Batches formed while it waited. */
  passed: number
}

interface Run {
  batch: readonly Item[]
  signal: AbortSignal
  resolve(results: number[]): void
  reject(error: unknown): void
}

class World {
  readonly items: Item[] = []
  readonly waiting = new Set<Item>()
  readonly running: Run[] = []
  readonly lanes: number
  readonly below: (n: number) => number
  readonly batcher: Batcher<Item, number>

  constructor(seed: number, lanes = 1) {
    this.below = random(seed)
    this.lanes = lanes
    this.batcher = new Batcher<Item, number>({
      maxBatch: max,
      padding: { text: { budget, batchCost: 8 } },
      maxDelayMs: 0,
      // One lane is the default, so the option is left out.
      ...(lanes > 1 && { lanes }),
      run: (batch, signal) => this.#start(batch, signal),
    })
  }

  #start(batch: readonly Item[], signal: AbortSignal): Promise<number[]> {
    expect(this.running.length, 'no more batches in flight than lanes').toBeLessThan(this.lanes)
    const [head] = batch
    if (!head) throw new Error('an empty batch')
    expect(batch.length).toBeLessThanOrEqual(max[head.kind])
    if (head.kind === 'text' && batch.length > 1) {
      const longest = Math.max(...batch.map(({ length }) => length))
      expect(batch.length * longest).toBeLessThanOrEqual(budget)
    }
    for (const item of batch) {
      expect(this.waiting.delete(item), 'each item runs once, and only while it is wanted').toBe(true)
      expect([item.kind, item.priority]).toEqual([head.kind, head.priority])
    }
    for (const item of this.waiting) item.passed++
    if (head.priority === 'bulk') {
      const query = [...this.waiting].find((item) => item.priority === 'query')
      const overtaken = Math.max(...batch.map((item) => item.passed))
      if (query)
        expect(overtaken, 'bulk goes before a query only in its turn').toBeGreaterThanOrEqual(MAX_OVERTAKES)
    }
    return new Promise((resolve, reject) => {
      this.running.push({ batch, signal, resolve, reject })
    })
  }

  submit() {
    const item: Item = {
      kind: this.below(2) ? 'text' : 'video',
      length: 1 + this.below(20),
      id: this.items.length,
      priority: this.below(3) ? 'bulk' : 'query',
      abort: new AbortController(),
      settled: 0,
      passed: 0,
    }
    this.items.push(item)
    this.waiting.add(item)
    const settle = (outcome: unknown) => {
      item.settled++
      item.outcome = outcome
    }
    this.batcher
      .submit(item, item.priority, item.abort.signal)
      .then((answer) => settle(answer.result), settle)
  }

  async cancel() {
    const item = this.items[this.below(Math.max(1, this.items.length))]
    if (!item || item.settled || item.answered) return
    this.waiting.delete(item)
    item.abort.abort(`cancelled ${item.id}`)
    await Promise.resolve()
    expect(item.outcome, 'a cancelled item settles at once, with its reason').toBe(`cancelled ${item.id}`)
  }

  async rest() {
    // Turns of the event loop: some to receive results, and one per lane to start.
    for (let i = 0; i < this.lanes + 2; i++) await turn()
    if (this.waiting.size > 0) expect(this.running.length, 'no lane idles').toBe(this.lanes)
  }

  finish() {
    const [run] = this.running.splice(this.below(Math.max(1, this.running.length)), 1)
    if (!run) return
    for (const item of run.batch) item.answered = true
    const unwanted = run.batch.every((item) => item.abort.signal.aborted)
    expect(run.signal.aborted, 'cancelled exactly when nobody wants it').toBe(unwanted)
    if (unwanted || this.below(8) === 0) run.reject(new Error('failed'))
    else run.resolve(run.batch.map((item) => item.id))
  }
}

describe('Batcher, random arrivals, cancellations, failures', () => {
  const seeds = Array.from({ length: 60 }, (_, seed) => ({ seed, lanes: 1 + (seed % 3) }))
  it.each(seeds)('seed $seed, $lanes lanes', async ({ seed, lanes }) => {
    const world = new World(seed, lanes)
    for (let step = 0; step < 300; step++) {
      const what = world.below(10)
      if (what < 5) world.submit()
      else if (what < 7) await world.cancel()
      else if (what < 9) world.finish()
      else await world.rest()
    }
    for (let rest = 0; world.waiting.size > 0 || world.running.length > 0; rest++) {
      expect(rest, 'the queue drains').toBeLessThan(1000)
      world.finish()
      await turn()
    }
    await turn()
    for (const item of world.items) {
      expect(item.settled, `item ${item.id} settles exactly once`).toBe(1)
      if (typeof item.outcome === 'number') expect(item.outcome).toBe(item.id)
    }
    expect([world.batcher.running, world.batcher.waiting]).toEqual([0, 0])
  })

  it('starves neither unusual lengths nor bulk work under a steady stream of queries', async () => {
    const world = new World(7)
    const odd: Item = {
      kind: 'text',
      length: 1000,
      id: -1,
      priority: 'bulk',
      abort: new AbortController(),
      settled: 0,
      passed: 0,
    }
    world.waiting.add(odd)
    void world.batcher.submit(odd, 'bulk', odd.abort.signal).then(() => odd.settled++)
    for (let batch = 0; batch < 3 * (MAX_OVERTAKES + 1) && !odd.settled; batch++) {
      for (let i = 0; i < 6; i++) world.submit()
      await turn()
      const run = world.running.shift()
      run?.resolve(run.batch.map((item) => item.id))
      await turn()
    }
    expect(odd.settled).toBe(1)
  })
})
