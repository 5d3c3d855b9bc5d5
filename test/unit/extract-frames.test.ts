/** A decoder that nothing can stop, in the place of the addon's. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { stopGraceMs } from '../../src/base/native-job.ts'
import { extractFrames } from '../../src/run/frames.ts'

const job = vi.hoisted(() => ({ promise: new Promise(() => {}), cancel: vi.fn(), unref: vi.fn() }))
vi.mock('#binding', () => ({ default: { decodeClip: () => job } }))

describe('extractFrames with a decoder that does not stop', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => {
    vi.useRealTimers()
    vi.clearAllMocks()
  })

  it.each([
    [undefined, 300],
    [{ maxWallSeconds: 7 }, 7],
  ])('ends with the limits %o after %d s', async (decodeLimits, seconds) => {
    const ended = extractFrames(Uint8Array.of(1, 2, 3), { ...(decodeLimits && { decodeLimits }) }).catch(
      (error: unknown) => error,
    )
    const late = vi.fn()
    void ended.then(late)
    await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1))
    await vi.advanceTimersByTimeAsync(1000 * seconds + stopGraceMs - 1000)
    expect(late).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1000)
    expect(await ended).toMatchObject({ code: 'timeout', details: { limit: seconds } })
    expect(job.unref).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })
})
