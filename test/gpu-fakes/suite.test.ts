// Runs the suite for machines with a GPU (npm run test:gpu) on the fakes, so that it is known to work without one.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildEngines, clips, environment, noFakes, root, run, toyModel } from './support.ts'

describe.skipIf(noFakes)('the GPU suite', () => {
  const model = noFakes ? '' : toyModel('suite')
  beforeAll(() => buildEngines(model, 11))

  it('passes on the fakes without skips', async () => {
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
  }, 600_000)

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

  it('has a benchmark of the whole path, which ends with one sentence where there is no GPU', async () => {
    const bench = [path.join(root, 'scripts/bench/main.mjs'), 'embed', '--device', 'cuda', '--model', model]
    const options = ['--video', clips[0] ?? '', '--seconds', '0.1', '--callers', '3']
    const output = { BENCH_OUTPUT: path.join(model, 'bench-output') }
    const measured = await run([...bench, ...options], { ...environment(11), ...output })
    expect(measured).toMatchObject({ ended: 0, stderr: '' })
    const { rows, device } = JSON.parse(
      readFileSync(path.join(output.BENCH_OUTPUT, 'embed-cuda.json'), 'utf8'),
    )
    expect(device.kind).toBe('cuda')
    const videos = rows.find(({ load }: { load: string }) => load === 'video × 3')
    expect(Number(videos['items/s'])).toBeGreaterThan(0)
    expect(videos['by NVDEC']).toMatch(/^\d+ %$/)
    const absent = { COSMOS_EMBED_CUDA: path.join(root, 'package.json') }
    const refused = await run(bench, { ...environment(11), ...output, ...absent })
    expect(refused).toMatchObject({ ended: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^bench embed: no GPU can be measured here: .*package\.json.*\n$/)
  }, 600_000)

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
