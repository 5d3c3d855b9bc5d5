/** GPU commands on a machine without a GPU. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { gpuFindings } from '../../src/cli/doctor-gpu.ts'
import type { Finding } from '../../src/cli/finding.ts'
import { buildModel } from '../../src/device/build-model.ts'
import { type EmbedderOptions, resolveEmbedderOptions } from '../../src/options.ts'
import { engines, h200, machineWith, noBuild, tensorrt } from '../embedder/gpu-support.ts'
import { model } from '../embedder/support.ts'
import { run } from './support.ts'

const demo = fileURLToPath(new URL('../../models/demo', import.meta.url))

/** Keeps the tests from finding a real driver. */
function withoutDriver() {
  vi.stubEnv('COSMOS_EMBED_CUDA', fileURLToPath(import.meta.url))
  onTestFinished(() => {
    vi.unstubAllEnvs()
  })
}

describe('build-engine', () => {
  test.each([
    [[], '--model DIR is missing'],
    [['x'], 'unexpected "x"'],
    [['--model', demo, '--precision', 'int8'], '--precision: expected fp32, fp16, bf16, fp8, found "int8"'],
    [['--model', demo, '--max-batch', '0'], '--max-batch: expected a number of at least 1'],
    [['--model', demo, '--device', 'cuda'], '--device: expected a number'],
  ])('%j is refused with exit code 2', async (argv, message) => {
    const { code, stderr } = await run(['build-engine', ...argv])
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })

  test('fails without a driver and says so', async () => {
    withoutDriver()
    const { code, stderr, stdout } = await run(['build-engine', '--model', demo])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^cosmos-embed build-engine: /)
  })

  test('has a help text with its options', async () => {
    const { stdout } = await run(['build-engine', '--help'])
    for (const option of ['--precision', '--max-batch', '--device', '--out', '--trtexec', '--force']) {
      expect(stdout).toContain(option)
    }
    expect((await run(['--help'])).stdout).toContain('build-engine')
  })
})

describe('building for a model', () => {
  const signal = new AbortController().signal
  const double = () => machineWith([h200(0), h200(1)]).double
  const named = () => {
    vi.stubEnv('COSMOS_EMBED_TENSORRT', tensorrt)
    onTestFinished(() => {
      vi.unstubAllEnvs()
    })
  }

  test('finds plans that exist already', async () => {
    named()
    const out = await engines()
    const { plans, built } = await buildModel(
      { model, out, device: 1, onLine: () => {}, signal },
      double(),
      noBuild,
    )
    expect(built).toBe(false)
    expect(plans.video.path).toBe(path.join(out, 'video.plan'))
  })

  test.each([
    [{ maxBatch: 9 }, { maxBatch: 9, hostCode: false }, 9],
    [{ precision: 'bf16' as const }, { precision: 'bf16', hostCode: false }, 8],
    [{ force: true }, { hostCode: false }, 8],
  ])('asks for %j', async (more, wanted, video) => {
    named()
    const out = await engines()
    const build = vi.fn().mockRejectedValue(new Error('asked'))
    const request = { model, out, trtexec: '/x/trtexec', onLine: () => {}, signal, ...more }
    await expect(buildModel(request, double(), build)).rejects.toThrow('asked')
    expect(build.mock.calls[0]?.[0]).toMatchObject({
      ...{ gpu: { device: 0 }, folders: [out], wanted, sizes: { video, text: 64 } },
      ...{ trtexec: '/x/trtexec', force: 'force' in more },
    })
  })
})

describe('doctor', () => {
  test('reports a missing GPU as a note', async () => {
    withoutDriver()
    const { code, stdout } = await run(['doctor', '--json'])
    const { findings } = JSON.parse(stdout) as { findings: Finding[] }
    expect(findings.find(({ check }) => check === 'NVIDIA driver')?.state).toBe('note')
    expect(findings.map(({ check }) => check)).not.toContain('TensorRT')
    expect(code).toBe(0)
    const asked = await run(['doctor', '--device', 'cuda'])
    expect(asked.code).toBe(1)
    expect(asked.stdout).toMatch(/failed NVIDIA driver: /)
    const cpu = await run(['doctor', '--device', 'cpu'])
    expect(cpu.code).toBe(0)
    expect(cpu.stdout).not.toContain('NVIDIA driver')
  })

  const look = (
    double: ReturnType<typeof machineWith>['double'],
    { cuda, ...options }: EmbedderOptions = {},
  ) =>
    gpuFindings({
      binding: double,
      options: resolveEmbedderOptions({ cuda: { libraries: { tensorrt }, ...cuda }, ...options }),
      model,
      signal: new AbortController().signal,
    })

  test('reports the driver, GPUs, NVDEC, TensorRT and plans', async () => {
    const { double } = machineWith([h200(0), h200(1)])
    const engineCache = await engines()
    const findings = await look(double, { cuda: { engineCache } })
    expect(findings.map(({ check, state }) => `${state} ${check}`)).toEqual([
      'ok NVIDIA driver',
      'ok GPU 0',
      'ok GPU 1',
      'ok NVDEC of GPU 0',
      'ok TensorRT',
      'ok engines for GPU 0',
    ])
    const found = Object.fromEntries(findings.map((finding) => [finding.check, finding.found]))
    expect(found['NVIDIA driver']).toBe('serves CUDA up to 12.8 (libcuda.so.1)')
    expect(found['GPU 0']).toBe('NVIDIA H200, compute capability 9.0, 140 GiB, GPU-0')
    expect(found['GPU 1']).toContain('not used')
    expect(found['NVDEC of GPU 0']).toBe(
      "7 engines; decodes h264 4:2:0 8-bit to 4096×4096; with decode.isolation, NVIDIA's video parser and NVIDIA's driver stay in this process",
    )
    expect(found['engines for GPU 0']).toContain('video fp16, batches up to 8, built on NVIDIA H200')
    expect(double.gpusOpen).toBe(0)
  })

  test('reports what is missing and how to fix it', async () => {
    const { double } = machineWith([h200(0)])
    double.nvdecEngines = 0
    const engineCache = await engines({ sidecar: { driver: '99.0' } })
    const findings = await look(double, { cuda: { engineCache } })
    expect(findings.find(({ check }) => check === 'NVDEC of GPU 0')).toMatchObject({
      state: 'note',
      found: 'not used: not asked for. The CPU decodes',
    })
    expect(findings.at(-1)).toEqual({
      check: 'engines for GPU 0',
      state: 'note',
      found: expect.stringMatching(
        /driver is CUDA 99.0, here CUDA 12.8, which is older; no TensorRT engine for text/,
      ),
      fix: `build them with: cosmos-embed build-engine --model ${model} --device 0 --out ${engineCache}`,
    })
    const asked = await look(double, { device: 'cuda', cuda: { engineCache } })
    expect(asked.at(-1)?.state).toBe('failed')
  })

  test('continues after a failed check', async () => {
    const { double } = machineWith([h200(0)])
    double.openingGpu.held = true
    const looking = look(double, { cuda: { libraries: { tensorrt: '/nowhere' } } })
    await vi.waitFor(() => expect(double.openingGpu.jobs).toHaveLength(1))
    double.openingGpu.jobs[0]?.fail({ code: 'out_of_memory', message: 'no memory left on GPU 0' })
    expect((await looking).slice(2)).toMatchObject([
      { check: 'NVDEC of GPU 0', state: 'note', found: 'no memory left on GPU 0' },
      { check: 'TensorRT', state: 'note', found: expect.stringContaining('/nowhere') },
    ])
    expect(double.runningJobs).toBe(0)
  })
})
