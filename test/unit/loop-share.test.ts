import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { LoopShare } from '../../src/base/loop-share.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

it('spreads work over the turns of the event loop, in order', async () => {
  const share = new LoopShare()
  let turn = 0
  let over = false
  const count = () => {
    turn++
    if (!over) setImmediate(count)
  }
  setImmediate(count)
  const turns = Array.from({ length: 12 }, (_, i) =>
    share.run(() => {
      vi.advanceTimersByTime(3)
      return { i, turn }
    }),
  )
  const done = await Promise.all(turns)
  over = true
  expect(done.map(({ i }) => i)).toEqual(done.map((_, i) => i))
  for (const { turn } of done) {
    expect(done.filter((other) => other.turn === turn).length, 'one portion of 3 ms, then others').toBe(1)
  }
})

it('runs short work immediately, and rethrows what it throws', async () => {
  const share = new LoopShare()
  expect(await share.run(() => 7)).toBe(7)
  await expect(
    share.run(() => {
      throw new Error('no token')
    }),
  ).rejects.toThrow('no token')
})
