// How processes with a GPU end, and what they leave allocated: checked from outside the process.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildEngines, clips, environment, loaderPath, noFakes, root, run, toyModel } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-life-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(noFakes)('a process with a GPU', () => {
  const model = noFakes ? '' : toyModel('life')
  beforeAll(() => buildEngines(model, 10))

  const end = async (how: string, extra: NodeJS.ProcessEnv = {}) => {
    const report = path.join(folder, `${how}.json`)
    const script = path.join(import.meta.dirname, 'children/exit.mjs')
    const env = { ...environment(10), COSMOS_FAKE_CUDA_REPORT: report, ...extra }
    const ended = await run([script, how, model, ...clips], env)
    return {
      ...ended,
      report: () => JSON.parse(readFileSync(report, 'utf8').trim().split('\n').at(-1) ?? ''),
    }
  }

  it.each(['dispose', 'dispose-busy', 'worker'])('leaves nothing allocated on the GPU: %s', async (how) => {
    const { ended, stdout, stderr, report } = await end(how)
    expect({ ended, stderr }).toEqual({ ended: 0, stderr: '' })
    expect(stdout).toContain('reached the end')
    // The doubles abort the process if GPU memory is misused.
    expect(report()).toEqual({ liveBytes: 0, pinnedBytes: 0, liveHandles: 0, pending: 0 })
  })

  it.each([
    ['exit', 0],
    ['throw', 1],
  ])('ends in the middle of its work: %s', async (how, code) => {
    const { ended } = await end(how)
    expect(ended).toBe(code)
  })

  it('finds the libraries by name in the dynamic loader’s folders', async () => {
    const { COSMOS_EMBED_CUDA, COSMOS_EMBED_NVCUVID, COSMOS_EMBED_TENSORRT, ...env } = environment(10)
    const doctor = [path.join(root, 'dist/cli/bin.js'), 'doctor', '--json', '--model', model]
    const found = await run(doctor, { ...env, LD_LIBRARY_PATH: loaderPath })
    expect(found.stdout).toContain('Fake H200')
    expect(found.ended).toBe(0)

    const bare = [...doctor.slice(0, -1), toyModel('bare'), '--device', 'cuda']
    const { ended, stdout } = await run(bare, { ...env, LD_LIBRARY_PATH: loaderPath })
    const { findings } = JSON.parse(stdout) as { findings: { state: string; fix?: string }[] }
    const failed = findings.filter(({ state }) => state === 'failed')
    expect([ended, failed.length]).toEqual([1, 2])
    for (const { fix } of failed) expect(fix).toContain('cosmos-embed build-engine --model')

    const missing = await run(doctor, { ...env, LD_LIBRARY_PATH: folder })
    expect(missing.stdout).toContain('libcuda.so.1')
    expect(missing.ended).toBe(0)
  })
})
