import { describe, expect, it, vi } from 'vitest'
import { MemoryBudget, type MemoryReservation } from '../../src/schedule/memory-budget.ts'
import { random } from '../embedder/random.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('MemoryBudget', () => {
  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'always makes progress and exceeds its limit by at most one item (seed %i)',
    async (seed) => {
      const below = random(seed)
      const limit = 1 + below(300)
      const most = 1 + below(400)
      let used = 0
      const budget = new MemoryBudget({
        fits: (bytes) => used + bytes <= limit,
        take: (bytes) => {
          used += bytes
          expect(used).toBeLessThanOrEqual(limit + most)
        },
        give: (bytes) => {
          used -= bytes
          budget.admitWaiting()
        },
      })
      let aborted = 0
      const work = async (memory: MemoryReservation, controller: AbortController) => {
        try {
          let left = most
          for (let step = 1 + below(6); step > 0 && left > 0; step--) {
            const bytes = 1 + below(left)
            left -= bytes
            if (below(20) === 0) queueMicrotask(() => controller.abort('enough'))
            await memory.grow(bytes, controller.signal)
            if (below(2)) await turn()
          }
        } catch (error) {
          expect(error).toBe('enough')
          aborted++
        } finally {
          memory.release()
          memory.release()
        }
      }
      const all: Promise<void>[] = []
      for (let item = 0; item < 40; item++) {
        all.push(work(budget.open(below(2) ? 'query' : 'bulk'), new AbortController()))
        if (below(3) === 0) await turn()
      }
      await Promise.all(all)
      expect(used).toBe(0)
      expect(budget.isAwaitedBefore('bulk')).toBe(false)
      expect(aborted).toBeLessThan(40)
    },
  )

  it('refuses a reservation that is released, waiting or later, and goes on with the others', async () => {
    const below = random(7)
    for (let round = 0; round < 200; round++) {
      const limit = 1 + below(100)
      let used = 0
      const budget = new MemoryBudget({
        fits: (bytes) => used + bytes <= limit,
        take: (bytes) => {
          used += bytes
        },
        give: (bytes) => {
          used -= bytes
          budget.admitWaiting()
        },
      })
      const { signal } = new AbortController()
      const added = vi.spyOn(signal, 'addEventListener')
      const removed = vi.spyOn(signal, 'removeEventListener')
      const holders = Array.from({ length: 2 + below(4) }, () => budget.open(below(2) ? 'query' : 'bulk'))
      const grown = holders.map((holder) => holder.grow(1 + below(limit), signal).catch((error) => error))
      const [first, ...others] = below(2) ? holders : holders.reverse()
      first?.release()
      await expect(first?.grow(1 + below(limit), signal)).rejects.toThrow('released')
      for (const other of others) {
        await turn()
        other.release()
      }
      for (const outcome of await Promise.all(grown)) {
        if (outcome !== undefined)
          expect(outcome).toMatchObject({ message: expect.stringContaining('released') })
      }
      expect([used, budget.isAwaitedBefore('bulk')]).toEqual([0, false])
      expect(removed).toHaveBeenCalledTimes(added.mock.calls.length)
    }
  })
})
