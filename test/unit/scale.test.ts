/** The formulas of `npm run scale`. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { estimate, type Load, rateOf, sizesOf, type Unit } from '../../scripts/scale/formulas.mjs'

const load: Load = {
  ...{ clips: 7200, seconds: 10, mbit: 8, rowBytes: 1000, jobItems: 100, jobBytes: 5000, maxJobs: 50 },
}
const core: Unit = { name: 'core', decode: 2, encode: 2, together: true, overlap: 1, price: 0.5 }

describe('the formulas', () => {
  it('add the stages of a core, and take the slower one of a GPU', () => {
    expect(rateOf(core)).toEqual({ rate: 1, bottleneck: 'encode' })
    expect(rateOf({ decode: 3, encode: 5, together: false, overlap: 0.5 })).toEqual({
      rate: 1.5,
      bottleneck: 'decode',
    })
  })

  it('tell time, money and network for the units at hand, and the units for a time', () => {
    expect(estimate(load, core, { units: 4 })).toMatchObject({
      hours: 0.5,
      unitHours: 2,
      cost: 1,
      networkGbit: 0.32,
    })
    expect(estimate(load, core, { hours: 0.5 })).toMatchObject({ units: 4, hours: 0.5 })
    // Half of what four cores would read: they wait, and are paid for it.
    expect(estimate(load, core, { units: 4, networkGbit: 0.16 })).toMatchObject({
      ...{ hours: 1, unitHours: 4, cost: 2, networkBound: true },
    })
  })

  it('bound the memory of Redis by the jobs that may wait', () => {
    expect(sizesOf(load)).toMatchObject({
      jobs: 72,
      redisBytes: 250_000,
      indexBytes: 7.2e6,
      sourceBytes: 7.2e10,
    })
    expect(sizesOf({ ...load, clips: 150 })).toMatchObject({ jobs: 2, redisBytes: 10_000 })
  })
})

it('npm run scale takes the reader’s numbers and refuses nonsense', () => {
  const script = path.join(fileURLToPath(new URL('../..', import.meta.url)), 'scripts', 'scale.mjs')
  const run = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })
  expect(run('--clips', '3600', '--gpus', '1', '--gpu-decode', '1', '--gpu-overlap', '1').stdout).toMatch(
    /3,600 clips.*\| GPUs \| 1 \| decode \| 1 \| 1 h \|/s,
  )
  expect(run('--cores', 'many')).toMatchObject({ status: 2, stderr: expect.stringContaining('--cores') })
})

it('docs/scale.md shows what npm run scale prints', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const script = path.join(root, 'scripts', 'scale.mjs')
  const { stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  expect(readFileSync(path.join(root, 'docs', 'scale.md'), 'utf8')).toContain(stdout)
})
