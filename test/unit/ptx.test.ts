import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const read = (name: string) => readFileSync(new URL(`../../native/cuda/${name}`, import.meta.url))

describe('preprocess.ptx', () => {
  const ptx = read('preprocess.ptx').toString()
  const source = read('preprocess.cu').toString()

  // scripts/cuda/ptx.py --check compiles the source again, which needs NVIDIA's wheels.
  test('was compiled from the source beside it', () => {
    const hash = createHash('sha256').update(read('preprocess_kernel.h')).update(source).digest('hex')
    expect(ptx, 'run: python3 scripts/cuda/ptx.py').toContain(`preprocess.cu: ${hash}\n`)
  })

  test('has every kernel, for the oldest supported card and driver', () => {
    const kernels = [...source.matchAll(/extern "C" __global__ void (\w+)/g)].map((match) => match[1])
    const entries = [...ptx.matchAll(/^\.visible \.entry (\w+)\(/gm)].map((match) => match[1])
    expect(kernels.length).toBeGreaterThan(0)
    expect(entries.sort()).toEqual(kernels.sort())
    expect(ptx).toMatch(/^\.version 7\.0\n\.target sm_75$/m)
  })
})
