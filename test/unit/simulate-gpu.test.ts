import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { picturesOfClip } from '../../scripts/simulate/pictures.mjs'
import { simulate } from '../../scripts/simulate/pipeline.mjs'

const machine = {
  engines: 4,
  clipsPerEngine: 1,
  pictureMs: 2,
  hostMs: 10,
  cpuWorkers: 0,
  cpuPictureMs: 20,
  encodeMs: 5,
  encodeClipMs: 10,
  maxBatch: 8,
  batchesInFlight: 1,
}
const clip = { decoded: 20, runs: [{ decoded: 20 }] }
const half = () => 0.5

describe('pictures of a clip', () => {
  test.each([
    [30, 59, 44],
    [250, 196, 192],
  ])('with a GOP of %i are as many as a card decoded and skipped', (gop, decoded, skipped) => {
    const counted = picturesOfClip({ seconds: 15, fps: 30, gop })
    expect(Math.abs(counted.decoded - decoded)).toBeLessThanOrEqual(2)
    expect(Math.abs(counted.skipped - skipped)).toBeLessThanOrEqual(2)
  })

  test('never increase with the tolerance, and are one per frame if every picture is a keyframe', () => {
    for (const gop of [1, 7, 12, 30, 99, 250]) {
      const costs = [0, 0.1, 0.5, 1, 20].map(
        (tolerance) => picturesOfClip({ seconds: 15, fps: 30, gop, tolerance }).decoded,
      )
      expect(costs).toEqual([...costs].sort((a, b) => b - a))
      if (gop === 1) expect(costs[0]).toBe(8)
    }
  })
})

describe('the pipeline', () => {
  test('takes as long for a single clip as its parts', () => {
    const { p50, p99, meanBatch } = simulate(machine, clip, { callers: 1, clips: 20 }, half)
    expect(p50).toBeCloseTo(20 * 2 + 10 + 5 + 10)
    expect(p99).toBeCloseTo(p50)
    expect(meanBatch).toBe(1)
  })

  test('distributes the runs of a single clip over idle engines', () => {
    const runs = [9, 5, 4, 2].map((decoded) => ({ decoded }))
    const { p50 } = simulate(machine, { decoded: 20, runs }, { callers: 1, clips: 20 }, half)
    expect(p50).toBeCloseTo(9 * 2 + 10 + 5 + 10)
  })

  test('is as fast as its bottleneck', () => {
    const load = { callers: 64, clips: 2000 }
    const decoders = simulate({ ...machine, hostMs: 0, encodeMs: 0, encodeClipMs: 1 }, clip, load, half)
    expect(decoders.perSecond).toBeCloseTo(4 * (1000 / 40), 0)
    expect(decoders.nvdecBusy).toBeGreaterThan(0.98)
    const encoder = simulate({ ...machine, hostMs: 0, encodeClipMs: 50 }, clip, load, half)
    expect(encoder.perSecond).toBeCloseTo((8 / (5 + 8 * 50)) * 1000, 0)
    expect(encoder.meanBatch).toBeGreaterThan(7.5)
  })

  test('uses CPU workers when they finish first', () => {
    const load = { callers: 64, clips: 2000 }
    const quick = { ...machine, encodeMs: 0, encodeClipMs: 0.1, cpuWorkers: 4 }
    const alone = simulate({ ...quick, cpuWorkers: 0 }, clip, load, half)
    const both = simulate({ ...quick, cpuPictureMs: 4 }, clip, load, half)
    expect(both.cpuShare).toBeGreaterThan(0.2)
    expect(both.perSecond).toBeGreaterThan(alone.perSecond * 1.4)
  })
})

test('the command matches a measured card, and refuses values that are not numbers', () => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, ['scripts/simulate-gpu.mjs', ...args], { encoding: 'utf8', stdio: 'pipe' })
  expect(run('--check')).toContain('the whole path')
  expect(run('--clips', '200', '--rate', '20')).toContain('bottleneck')
  expect(() => run('--gop', 'x')).toThrow('--gop is x; it must be a number')
})
