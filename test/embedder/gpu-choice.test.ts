/** The choice of a device, and how it is reported. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { CudaOptions } from '../../src/index.ts'
import { loadBundle } from '../../src/model/bundle.ts'
import type { BuildRequest } from '../../src/tensorrt/engine-builder.ts'
import { findPlans } from '../../src/tensorrt/plan-files.ts'
import { placeEngine } from '../unit/engines.ts'
import { engines, h200, machineWith, tensorrt } from './gpu-support.ts'
import { failureOf, model, turns } from './support.ts'

const cache = await engines()

describe('device "auto"', () => {
  it('takes the GPU when everything is available, and reports what it uses', async () => {
    const { double, open } = machineWith([h200(0), h200(1)])
    await using embedder = await open({ cuda: { engineCache: cache } })
    const { device, engine } = embedder.info()
    expect(device).toMatchObject({
      kind: 'cuda',
      reason: 'device: "auto" found NVIDIA H200 (GPU 0), with TensorRT 10.16.1.11 and a driver for CUDA 12.8',
      driver: { version: '12.8', library: 'libcuda.so.1' },
      gpus: [
        {
          device: 0,
          name: 'NVIDIA H200',
          computeCapability: '9.0',
          engines: {
            video: {
              path: path.join(cache, 'video.plan'),
              precision: 'fp16',
              maxBatch: 8,
              built: { gpu: 'NVIDIA H200', driver: '12.8', tensorrt: '10.16.1.11' },
            },
          },
          nvdec: { engines: 7, reason: '', capabilities: [{ codec: 'h264', supported: true }] },
        },
      ],
    })
    expect(engine).toEqual({ backend: 'tensorrt', version: '10.16.1.11', library: tensorrt })
    expect(double.gpuOptions).toMatchObject([{ device: 0, nvdec: 'auto' }])
    expect(double.engineOptions).toMatchObject([
      {
        backend: 'tensorrt',
        contexts: 2,
        graphs: true,
        hostCode: false,
        video: path.join(cache, 'video.plan'),
      },
    ])
  })

  it('takes the CPU without a driver, in one line and without a warning', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const { open } = machineWith([])
    await using embedder = await open()
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
    expect(embedder.info().device).toEqual({
      kind: 'cpu',
      reason:
        'device: "auto" took the CPU: the NVIDIA driver (libcuda.so.1) was not found: ' +
        '("cosmos-embed doctor" shows everything that was tried)',
    })
    expect(embedder.stats().gpus).toEqual([])
  })

  it('takes the CPU without TensorRT', async () => {
    vi.stubEnv('COSMOS_EMBED_TENSORRT', '/nowhere/libnvinfer.so.10')
    const { double, open } = machineWith([h200(0)])
    await using embedder = await open({ cuda: { libraries: {} } })
    vi.unstubAllEnvs()
    expect(embedder.info().device.reason).toMatch(/took the CPU: COSMOS_EMBED_TENSORRT names/)
    expect(double.gpusOpen).toBe(0)
  })

  it('takes the CPU without an engine, builds none, names the command, and warns', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const { open } = machineWith([h200(0)])
    const folder = await engines({ sidecar: { tensorrt: '10.9.0.34' } }, { tower: 'text' })
    await using embedder = await open({
      cuda: { engineCache: folder, buildEngine: 'auto', precision: 'fp16' },
    })
    const { reason } = embedder.info().device
    expect(warned.mock.calls).toEqual([[`cosmos-embed: ${reason}`]])
    warned.mockRestore()
    expect(reason).toContain('tensorrt is 10.9.0.34, here 10.16.1.11')
    expect(reason).toContain(
      `Build what fits this machine with: cosmos-embed build-engine --model ${model} --device 0 --precision fp16 --out ${folder}`,
    )
  })

  it.each(['openingGpu', 'creating'] as const)(
    'takes the CPU when %s fails, and keeps no GPU',
    async (gate) => {
      const { double, open } = machineWith([h200(0)])
      double[gate].held = true
      const opening = open({ cuda: { engineCache: cache } })
      await vi.waitFor(() => expect(double[gate].jobs).toHaveLength(1))
      double[gate].jobs[0]?.fail({ code: 'out_of_memory', message: 'no memory left on GPU 0' })
      double[gate].open()
      await using embedder = await opening
      expect(embedder.info().device).toEqual({
        kind: 'cpu',
        reason: 'device: "auto" took the CPU: no memory left on GPU 0',
      })
      expect([double.gpusOpen, double.enginesOpen]).toEqual([0, 1])
    },
  )
})

describe('device "cpu"', () => {
  it('does not look for GPUs', async () => {
    const { double, open } = machineWith([h200(0)])
    double.probe = () => {
      throw new Error('was looked at')
    }
    await using embedder = await open({ device: 'cpu' })
    expect(embedder.info().device).toEqual({ kind: 'cpu', reason: 'asked for by the option device: "cpu"' })
  })
})

describe('device "cuda"', () => {
  it('reports that it was requested', async () => {
    const { open } = machineWith([h200(0)])
    await using embedder = await open({ device: 'cuda', cuda: { engineCache: cache } })
    expect(embedder.info().device.reason).toMatch(
      /^asked for by the option device: "cuda": NVIDIA H200 \(GPU 0\)/,
    )
  })

  it.each([
    ['no driver', [], {}, { code: 'library', message: /libcuda.so.1.*container toolkit/s }],
    [
      'no such GPU',
      [h200(0)],
      { devices: [1] },
      { code: 'invalid_argument', message: /there is no GPU 1.*sees 0/ },
    ],
    [
      'no engine',
      [h200(0)],
      {},
      { code: 'model', message: /no TensorRT engine for video in .*build-engine --model/ },
    ],
    [
      'a named library that is none',
      [h200(0)],
      { libraries: { cuda: '/nowhere' } },
      { code: 'library', message: /cuda.libraries.cuda/ },
    ],
    [
      'two kinds of GPU',
      [h200(0), h200(1, { name: 'NVIDIA L40S', computeCapability: '8.9' })],
      { devices: 'all' as const },
      { code: 'library', message: /cannot serve both in one process/ },
    ],
  ])('fails with %s, and keeps nothing', async (_, gpus, cuda, { code, message }) => {
    const { double, open } = machineWith(gpus)
    expect(await failureOf(open({ device: 'cuda', cuda }))).toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
    expect([double.gpusOpen, double.enginesOpen, double.runningJobs]).toEqual([0, 0, 0])
  })

  it.each([
    ['by a driver that does not start', undefined],
    ['by one that shows none', []],
  ])('says what CUDA_VISIBLE_DEVICES hides, %s', async (_, devices) => {
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '')
    const { double, open } = machineWith([])
    double.probe = () => {
      if (devices) return { driver: { version: '12.8', library: 'libcuda.so.1' }, devices }
      throw Object.assign(new Error('libcuda.so.1 cannot be initialised: CUDA_ERROR_NO_DEVICE'), {
        code: 'library',
      })
    }
    const failure = await failureOf(open({ device: 'cuda' }))
    vi.unstubAllEnvs()
    expect(failure).toMatchObject({
      code: 'library',
      message: expect.stringContaining('(CUDA_VISIBLE_DEVICES is "")'),
    })
  })

  it('can be aborted while the driver starts', async () => {
    const { double, open } = machineWith([h200(0)])
    double.probing.held = true
    const controller = new AbortController()
    const opening = failureOf(open({ device: 'cuda', signal: controller.signal }))
    while (double.probing.jobs.length === 0) await turns(1)
    controller.abort(new Error('enough'))
    double.probing.open()
    expect(await opening).toMatchObject({ message: 'enough' })
    expect([double.gpusOpen, double.enginesOpen, double.runningJobs]).toEqual([0, 0, 0])
  })

  it.each([0, 1, 2, 3])('closes every GPU when job %i of the opening fails', async (at) => {
    const { double, open } = machineWith([h200(0), h200(1)])
    const [gate, job] = [at < 2 ? double.openingGpu : double.creating, at % 2] as const
    gate.held = true
    const opening = failureOf(open({ device: 'cuda', cuda: { engineCache: cache, devices: 'all' } }))
    await vi.waitFor(() => expect(gate.jobs).toHaveLength(2))
    gate.jobs[job]?.fail({ code: 'device_lost', message: 'CUDA error 700' })
    await turns()
    gate.open()
    expect(await opening).toMatchObject({ code: 'device_lost' })
    expect([double.gpusOpen, double.enginesOpen, double.runningJobs, double.misuse]).toEqual([0, 0, 0, []])
  })

  it.each(['openingGpu', 'creating'] as const)('can be aborted at %s', async (gate) => {
    const { double, open } = machineWith([h200(0), h200(1)])
    const controller = new AbortController()
    double[gate].held = true
    const { signal } = controller
    const opening = failureOf(open({ device: 'cuda', signal, cuda: { engineCache: cache, devices: [0, 1] } }))
    await vi.waitFor(() => expect(double[gate].jobs).toHaveLength(2))
    controller.abort('enough')
    // One of them may open before its cancellation takes effect.
    double[gate].jobs[0]?.finish()
    expect(await opening).toBe('enough')
    expect([double.gpusOpen, double.enginesOpen, double.runningJobs, double.misuse]).toEqual([0, 0, 0, []])
  })
})

describe('a missing engine', () => {
  it('is built once for identical GPUs, and the build is reported', async () => {
    const folder = path.join(await engines(), 'new')
    const lines: string[] = []
    const requests: BuildRequest[] = []
    const build = async (request: BuildRequest) => {
      requests.push(request)
      request.onLine('a line of the tool')
      for (const tower of ['video', 'text'] as const) placeEngine(folder, request.bundle, { tower })
      const { plans } = await findPlans(request)
      return plans ?? expect.unreachable('the engine is there')
    }
    const { double, open } = machineWith([h200(0), h200(1)], build)
    const cuda: CudaOptions = {
      devices: 'all',
      engineCache: folder,
      buildEngine: 'auto',
      onBuild: (line) => lines.push(line),
      precision: 'fp16',
    }
    await using embedder = await open({
      device: 'cuda',
      cuda,
      batching: { maxVideoBatch: 6, maxTextBatch: 20 },
    })
    expect(requests).toMatchObject([
      {
        gpu: { device: 0 },
        folders: [folder, path.join(model, 'engines')],
        wanted: { precision: 'fp16', hostCode: false },
        sizes: { video: 6, text: 20 },
        tensorrt: { path: tensorrt, version: '10.16.1.11' },
        driver: '12.8',
      },
    ])
    expect(lines[0]).toMatch(
      /^no TensorRT engine for video in .* Building for GPU 0 \(NVIDIA H200\), which takes minutes/,
    )
    expect(lines[1]).toBe('a line of the tool')
    expect(embedder.info().device).toMatchObject({ gpus: [{ device: 0 }, { device: 1 }] })
    expect(double.enginesOpen).toBe(2)
  })

  it('is warned about when there is no onBuild', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const build = async (request: BuildRequest) => {
      const { plans } = await findPlans({ ...request, folders: [cache] })
      return plans ?? expect.unreachable('the engine is there')
    }
    const { open } = machineWith([h200(0)], build)
    await using embedder = await open({ device: 'cuda', cuda: { buildEngine: 'auto' } })
    expect(embedder.info().device.kind).toBe('cuda')
    expect(warned.mock.calls).toEqual([
      [expect.stringMatching(/^cosmos-embed: no TensorRT engine.*takes minutes/)],
    ])
    warned.mockRestore()
  })

  it('that cannot be built makes the creation fail', async () => {
    const { double, open } = machineWith([h200(0)], () => Promise.reject(new Error('no trtexec')))
    const cuda = { buildEngine: 'auto' as const, onBuild: () => {} }
    expect(await failureOf(open({ device: 'cuda', cuda }))).toMatchObject({ message: 'no trtexec' })
    expect([double.gpusOpen, double.enginesOpen]).toEqual([0, 0])
    expect(existsSync(path.join((await loadBundle(model)).directory, 'engines'))).toBe(false)
  })
})

describe('options', () => {
  it.each([
    [{ devices: [] }, 'options.cuda.devices'],
    [{ devices: [0, 0] }, 'options.cuda.devices: names a GPU twice'],
    [{ devices: [-1] }, 'options.cuda.devices'],
    [{ contexts: 3 }, 'options.cuda.contexts'],
    [{ engineBatch: 0 }, 'options.cuda.engineBatch'],
    [{ engineBatch: Number.NaN }, 'options.cuda.engineBatch'],
    [{ engineBatch: 1025 }, 'options.cuda.engineBatch: must be at most 1024, found 1025'],
    // The name of another limit: the engine's largest batch.
    [{ maxBatch: 8 }, 'unknown field "maxBatch"'],
    [{ precision: 'int8' }, 'options.cuda.precision'],
    [{ nvdecWorkers: 0 }, 'options.cuda.nvdecWorkers'],
    [{ onBuild: true }, 'options.cuda.onBuild: must be a function'],
    [{ libraries: { cudart: 'x' } }, 'options.cuda.libraries'],
  ])('%j is refused', async (cuda, message) => {
    const { open } = machineWith([h200(0)])
    expect(await failureOf(open({ cuda: cuda as object }))).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(message),
    })
  })

  it('reach the GPU and its engine', async () => {
    const { double, open } = machineWith([h200(0)])
    const cuda: CudaOptions = {
      engineCache: cache,
      nvdec: 'never',
      nvdecWorkers: 3,
      cpuWorkers: 5,
      contexts: 1,
      graphs: false,
      hostCode: true,
    }
    await using embedder = await open({ device: 'cuda', cuda })
    expect(double.gpuOptions).toEqual([
      { device: 0, libraries: {}, nvdec: 'never', nvdecWorkers: 3, cpuWorkers: 5 },
    ])
    expect(double.engineOptions).toMatchObject([{ contexts: 1, graphs: false, hostCode: true }])
    expect(embedder.info().device).toMatchObject({
      gpus: [{ nvdec: { engines: 0, reason: 'not asked for' } }],
    })
  })

  it.each([
    [16, undefined, 16],
    [16, 3, 3],
    [4, 12, 4],
    [0, undefined, 8],
  ])('an engine for %i clips and a batch of %s make batches of %i', async (engine, maxBatch, expected) => {
    const { double, open } = machineWith([h200(0)])
    double.maxVideoBatch = engine
    await using embedder = await open({
      device: 'cuda',
      cuda: { engineCache: cache },
      batching: { maxVideoBatch: maxBatch },
    })
    expect(embedder.info().limits.maxVideoBatch).toBe(expected)
  })

  it.each([
    [{ nvdecWorkers: 3, cpuWorkers: 5 }, undefined, [0], 8],
    [{ cpuWorkers: 0 }, undefined, [0], 14],
    [{ cpuWorkers: 1 }, undefined, [0, 1], 30],
    [{ cpuWorkers: 1 }, 5, [0, 1], 6],
  ])('%j and concurrency %s on %j decode %i at a time', async (more, concurrency, devices, expected) => {
    const { open } = machineWith([h200(0), h200(1)])
    await using embedder = await open({
      device: 'cuda',
      cuda: { engineCache: cache, devices, ...more },
      decode: { concurrency },
    })
    expect(embedder.info().limits.decodeConcurrency).toBe(expected)
  })
})
