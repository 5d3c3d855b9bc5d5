// Runs the suite for machines with a GPU (npm run test:gpu) on the doubles, so that it is known to work without one.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildEngines, environment, noFakes, root, run, toyModel } from './support.ts'

describe.skipIf(noFakes)('the GPU suite', () => {
  const model = noFakes ? '' : toyModel('suite')
  beforeAll(() => buildEngines(model, 11))

  it('passes on the doubles without skips', async () => {
    const suite = ['nvdec', 'embed'].map((name) => path.join(root, `test/gpu/${name}.test.mjs`))
    const { ended, stdout } = await run(['--test', '--test-reporter=tap', ...suite], {
      ...withoutVitest(environment(11)),
      COSMOS_EMBED_GPU_MODEL: model,
      COSMOS_EMBED_GPU_CLIPS: path.join(root, 'examples/clips'),
    })
    const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)`, 'm').exec(stdout)?.[1])
    expect(stdout.match(/^\s*not ok .*/gm) ?? []).toEqual([])
    expect(ended).toBe(0)
    expect({ skipped: count('skipped'), fail: count('fail') }).toEqual({ skipped: 0, fail: 0 })
    expect(count('pass')).toBeGreaterThan(8)
  }, 240_000)

  it('fails instead of skipping if an engine cannot be built', async () => {
    const installed = path.join(toyModel('no-engine'), 'installed')
    mkdirSync(path.join(installed, 'bin'), { recursive: true })
    writeFileSync(path.join(installed, 'bin/trtexec'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    const { ended, stdout } = await run(
      ['--test', '--test-reporter=tap', path.join(root, 'test/gpu/embed.test.mjs')],
      {
        ...withoutVitest(environment(11)),
        COSMOS_EMBED_GPU_MODEL: path.dirname(installed),
        TENSORRT_ROOT: installed,
      },
    )
    expect(ended).toBe(1)
    expect(stdout).toContain('engine could not be built')
  })

  it('skips with the reason if there is no driver', async () => {
    const suite = ['nvdec', 'embed'].map((name) => path.join(root, `test/gpu/${name}.test.mjs`))
    const { ended, stdout } = await run(['--test', '--test-reporter=tap', ...suite], {
      ...withoutVitest(environment(11)),
      COSMOS_EMBED_CUDA: path.join(root, 'package.json'),
    })
    expect(ended).toBe(0)
    expect(stdout).toMatch(/^# pass 0$/m)
    expect(stdout).toMatch(/# SKIP .*package\.json/)
  })
})

/** Node's test runner refuses to run inside another one. */
function withoutVitest({ NODE_TEST_CONTEXT, NODE_OPTIONS, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env
}
