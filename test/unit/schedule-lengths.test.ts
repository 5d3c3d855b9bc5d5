/** Texts in batches of like length, counted on a device that has all of them to do. */
import { describe, expect, it } from 'vitest'
import { Batcher } from '../../src/schedule/batcher.ts'
import { batchOfFirst } from '../../src/schedule/like-lengths.ts'
import { random } from '../embedder/random.ts'

const never = new AbortController().signal
const maxItems = 64
const longest = 128

/** Lengths of texts: mostly short queries, or captions of all lengths, or one length. */
const mixtures = {
  queries: (below: (n: number) => number) => (below(8) === 0 ? 1 + below(longest) : 4 + below(12)),
  captions: (below: (n: number) => number) => 1 + below(longest),
  alike: () => 16,
}

const padded = (lengths: readonly number[]) => lengths.length * Math.max(...lengths)
const sum = (numbers: readonly number[]) => numbers.reduce((all, each) => all + each, 0)

/** Embeds a list as a bulk job does, `inFlight` at a time, on a device whose batches take their tokens and `batchCost`. */
async function run(
  lengths: readonly number[],
  { lanes = 2, budget = 4096, batchCost = 256, inFlight = 512 },
) {
  const batches: number[][] = []
  let [clock, running, idle] = [0, 0, 0]
  const ends: { at: number; end: () => void }[] = []
  const batcher = new Batcher<{ kind: 'text'; length: number; id: number }, number>({
    maxBatch: { text: maxItems },
    padding: { text: { budget, batchCost } },
    maxDelayMs: 0,
    lanes,
    run: (items) => {
      batches.push(items.map(({ length }) => length))
      running++
      // Lanes share the device, so batches end one after the other.
      const at =
        Math.max(clock, ...ends.map((each) => each.at)) + batchCost + padded(batches.at(-1) as number[])
      return new Promise((resolve) => ends.push({ at, end: () => resolve(items.map(({ id }) => id)) }))
    },
  })
  const results: number[] = []
  let next = 0
  const worker = async () => {
    while (next < lengths.length) {
      const id = next++
      const { result } = await batcher.submit(
        { kind: 'text', length: lengths[id] as number, id },
        'bulk',
        never,
      )
      results[id] = result
    }
  }
  const done = Promise.all(Array.from({ length: inFlight }, worker))
  while (results.filter((id) => id !== undefined).length < lengths.length) {
    for (let turn = 0; turn < lanes + 2; turn++) await new Promise((resolve) => setImmediate(resolve))
    const first = ends.shift()
    if (!first) continue
    clock = first.at
    running--
    if (running === 0 && batcher.waiting > 0) idle++
    first.end()
  }
  await done
  return { batches, results, idle }
}

describe.each(Object.entries(mixtures))('bulk texts: %s', (_name, mixture) => {
  it.each([1, 2, 3])(
    'are padded little, in few batches, without a gap, each with its own result (seed %i)',
    async (seed) => {
      const below = random(seed)
      const lengths = Array.from({ length: 3000 }, () => mixture(below))
      const { batches, results, idle } = await run(lengths, {})
      expect(results).toEqual(lengths.map((_, id) => id))
      for (const batch of batches) {
        expect(batch.length).toBeLessThanOrEqual(maxItems)
        expect(padded(batch)).toBeLessThanOrEqual(4096)
      }
      const real = sum(lengths)
      expect(sum(batches.map(padded)) / real, 'tokens computed for each real one').toBeLessThan(1.15)
      const fewest = Math.max(lengths.length / maxItems, real / 4096)
      expect(batches.length / fewest).toBeLessThan(1.5)
      expect(idle, 'batches that ended with items waiting and no other batch on the device').toBe(0)
    },
  )
})

describe('batchOfFirst', () => {
  /** The least cost of dividing all lengths into consecutive batches, by trying every division. */
  function leastCost(
    sorted: readonly number[],
    limits: { maxItems: number; budget: number; batchCost: number },
  ): number {
    if (sorted.length === 0) return 0
    let least = Number.POSITIVE_INFINITY
    for (let size = 1; size <= Math.min(limits.maxItems, sorted.length); size++) {
      const batch = sorted.slice(0, size)
      if (size > 1 && padded(batch) > limits.budget) continue
      least = Math.min(least, limits.batchCost + padded(batch) + leastCost(sorted.slice(size), limits))
    }
    return least
  }

  it.each(Array.from({ length: 40 }, (_, seed) => seed))('divides at the least cost (seed %i)', (seed) => {
    const below = random(seed)
    const limits = { maxItems: 1 + below(5), budget: 10 + below(60), batchCost: below(40) }
    let items = Array.from({ length: 1 + below(10) }, (_, id) => ({ id, length: 1 + below(30) }))
    const least = leastCost(
      items.map(({ length }) => length).sort((a, b) => a - b),
      limits,
    )
    let cost = 0
    while (items.length > 0) {
      const batch = batchOfFirst(items, ({ length }) => length, limits)
      expect(batch).toContain(items[0])
      cost += limits.batchCost + padded(batch.map(({ length }) => length))
      items = items.filter((item) => !batch.includes(item))
    }
    expect(cost).toBe(least)
  })
})
