import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ModelBundle } from '../../src/model/bundle.ts'
import { type BuildRequest, buildEngines } from '../../src/tensorrt/engine-builder.ts'
import { findPlans } from '../../src/tensorrt/plan-files.ts'
import type { Sidecar } from '../../src/tensorrt/sidecar.ts'
import type { PlanTrial } from '../../src/tensorrt/try-plans.ts'
import { makeFolder, removeFolders, tokenizerJson } from './bundles.ts'
import { machine, onnxBundle, placeEngine } from './engines.ts'

let bundle: ModelBundle
let out: string
let bin: string
const lines: string[] = []
const trials: PlanTrial[] = []
/** Stands in for the trial run of new engines. Tests make it fail. */
let tryPlans: (trial: PlanTrial) => Promise<void> = async () => {}

beforeEach(async () => {
  vi.stubEnv('XDG_CACHE_HOME', makeFolder())
  vi.stubEnv('TENSORRT_ROOT', '')
  bundle = await onnxBundle({}, JSON.stringify(tokenizerJson))
  out = join(makeFolder(), 'deep', 'engines')
  bin = makeFolder()
  lines.length = 0
  trials.length = 0
  tryPlans = async () => {}
})
afterEach(() => {
  vi.unstubAllEnvs()
  removeFolders()
})

/** A fake trtexec that writes a plan and records its arguments and library path. */
function trtexec(instead = ''): string {
  const path = join(bin, 'trtexec')
  const log = JSON.stringify(join(bin, 'calls.jsonl'))
  writeFileSync(
    path,
    `#!${process.execPath}
const fs = require('node:fs')
const args = process.argv.slice(2)
const value = (name) => args.find((arg) => arg.startsWith('--' + name + '='))?.slice(name.length + 3)
fs.appendFileSync(${log}, JSON.stringify({ args, libraries: process.env.LD_LIBRARY_PATH, cwd: process.cwd() }) + '\\n')
const write = (version, text = value('saveEngine')) => {
  const header = Buffer.alloc(28)
  header.writeUInt32LE(0x74727466, 0)
  version.split('.').forEach((part, i) => { header[24 + i] = Number(part) })
  fs.writeFileSync(value('saveEngine'), Buffer.concat([header, Buffer.from(text)]))
}
console.log('[I] Start parsing network model.')
console.error('[W] a warning')
${instead || `write('${machine.tensorrt.version}'); fs.appendFileSync(value('timingCacheFile'), value('saveEngine').slice(-10, -5) + ';')`}
`,
  )
  chmodSync(path, 0o755)
  return path
}

const calls = (): { args: string[]; libraries: string; cwd: string }[] =>
  existsSync(join(bin, 'calls.jsonl'))
    ? readFileSync(join(bin, 'calls.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : []

function request(more: Partial<BuildRequest> = {}): BuildRequest {
  return {
    ...machine,
    bundle,
    gpu: { ...machine.gpu, device: 3, uuid: 'GPU-x', memoryBytes: 1 },
    tensorrt: { ...machine.tensorrt, path: '/opt/tensorrt/lib/libnvinfer.so.10', origin: 'system' },
    libraries: { cuda: '/opt/libcuda.so.1' },
    folders: [out],
    wanted: { hostCode: false },
    sizes: { video: 9, text: 64 },
    trtexec: join(bin, 'trtexec'),
    onLine: (line) => lines.push(line),
    signal: new AbortController().signal,
    ...more,
  }
}

const build = (more: Partial<BuildRequest> = {}) =>
  buildEngines(request(more), {
    tryPlans: async (trial) => {
      trials.push(trial)
      for (const path of [trial.engine.video, trial.engine.text])
        expect(statSync(path).size).toBeGreaterThan(28)
      await tryPlans(trial)
    },
  })

/** Checks that the folder holds only timings and the results of earlier builds. */
const leftovers = () => (existsSync(out) ? readdirSync(out).filter((name) => !name.endsWith('.cache')) : [])

describe('building', () => {
  test('writes plans and sidecars that are then accepted', async () => {
    trtexec()
    const plans = await build()
    expect(readdirSync(out).sort()).toEqual([
      'text.sm90.trt10.16.1.11.fp32.b64.plan',
      'text.sm90.trt10.16.1.11.fp32.b64.plan.json',
      'timings.NVIDIA-H200.trt10.16.1.11.cache',
      'video.sm90.trt10.16.1.11.fp32.b9.plan',
      'video.sm90.trt10.16.1.11.fp32.b9.plan.json',
    ])
    expect((await findPlans(request())).plans).toEqual(plans)
    const sidecar = JSON.parse(readFileSync(`${plans.video.path}.json`, 'utf8')) as Sidecar
    expect(sidecar).toMatchObject({
      tower: 'video',
      tensorrt: '10.16.1.11',
      computeCapability: '9.0',
      gpu: 'NVIDIA H200',
      driver: '12.8',
      precision: 'fp32',
      maxBatch: 9,
      hostCode: false,
      onnx: { video: bundle.files.video.sha256 },
      built: { by: 'trtexec' },
    })
    const shape = { min: [1, 8, 3, 224, 224], opt: [4, 8, 3, 224, 224], max: [9, 8, 3, 224, 224] }
    expect(sidecar.profiles).toEqual([{ videos: shape }, { videos: shape }])
    expect(statSync(plans.video.path).mode & 0o777).toBe(0o644)
  })

  test('runs trtexec with the right arguments and without a shell', async () => {
    trtexec()
    await build()
    const [video, text] = calls()
    const { args, libraries, cwd } = video as typeof calls extends () => (infer C)[] ? C : never
    const shapes = (rows: number) => `videos:${rows}x8x3x224x224`
    const profile = (index: number) => [
      `--profile=${index}`,
      `--minShapes=${shapes(1)}`,
      `--optShapes=${shapes(4)}`,
      `--maxShapes=${shapes(9)}`,
    ]
    expect(args).toEqual([
      `--onnx=${bundle.files.video.path}`,
      `--saveEngine=${join(cwd, 'video.plan')}`,
      ...profile(0),
      ...profile(1),
      '--stronglyTyped',
      `--timingCacheFile=${join(cwd, 'timings.cache')}`,
      '--builderOptimizationLevel=3',
      `--tempdir=${cwd}`,
      '--device=3',
      '--skipInference',
    ])
    expect(libraries.split(':')[0]).toBe('/opt/tensorrt/lib')
    expect(text?.args).toContain('--optShapes=input_ids:32x64,attention_mask:32x64')
    expect(text?.args).toContain('--maxShapes=input_ids:64x128,attention_mask:64x128')
  })

  test('passes on the tool’s output, and tries both engines before putting them in place', async () => {
    trtexec()
    tryPlans = async () => {
      expect(leftovers().filter((name) => name.endsWith('.plan'))).toEqual([])
    }
    await build()
    expect(lines).toContain('[I] Start parsing network model.')
    expect(lines).toContain('[W] a warning')
    expect(trials).toMatchObject([
      {
        device: 3,
        libraries: { cuda: '/opt/libcuda.so.1' },
        engine: { backend: 'tensorrt', library: '/opt/tensorrt/lib/libnvinfer.so.10', embeddingDim: 256 },
      },
    ])
  })

  test('builds only the missing tower, and both with force', async () => {
    trtexec()
    placeEngine(out, bundle, { tower: 'text' })
    await build()
    expect(calls()).toHaveLength(1)
    expect(trials[0]?.engine.text).toBe(join(out, 'text.plan'))
    await build()
    expect(calls()).toHaveLength(1)
    await build({ force: true })
    expect(calls()).toHaveLength(3)
    // Each build reuses the timings of earlier ones.
    const timings = readFileSync(join(out, 'timings.NVIDIA-H200.trt10.16.1.11.cache'), 'utf8')
    expect(timings).toBe('video;video;/text;')
    // Timings of another card are not reused, although its engines run.
    const gpu = { ...request().gpu, name: 'NVIDIA H100' }
    await build({ force: true, gpu })
    expect(readFileSync(join(out, 'timings.NVIDIA-H100.trt10.16.1.11.cache'), 'utf8')).toBe('video;/text;')
  })

  test('replaces a stale engine of the same name', async () => {
    trtexec()
    const { video } = await build()
    writeFileSync(video.path, 'something else')
    const again = await build()
    expect(again.video.path).toBe(video.path)
    expect(calls()).toHaveLength(3)
  })

  test('happens once when two callers need it at the same time', async () => {
    trtexec()
    const [one, two] = await Promise.all([build(), build()])
    expect(calls()).toHaveLength(2)
    expect(one).toEqual(two)
    expect(lines.filter((line) => line.includes('another process builds'))).toHaveLength(1)
  })

  test('lowers a graph of fp32 with TensorRT 10', async () => {
    trtexec()
    const wanted = { hostCode: false, precision: 'bf16' } as const
    const { video } = await build({ wanted })
    expect(calls()[0]?.args).toContain('--bf16')
    expect(calls()[0]?.args).not.toContain('--stronglyTyped')
    expect(video.sidecar.precision).toBe('bf16')
  })
})

describe('a build that fails leaves nothing', () => {
  test.each([
    [
      'the tool fails',
      'console.error("[E] no kernel"); process.exit(3)',
      'engine',
      /exit code 3[\s\S]*\[E\] no kernel/,
    ],
    ['the tool writes nothing', '', 'engine', /exit code 0 and wrote no plan/],
    ['the tool is killed', 'process.kill(process.pid, "SIGKILL")', 'engine', /was ended by SIGKILL/],
    [
      'the tool is of another TensorRT',
      'write("10.9.0.34")',
      'library',
      /builds for TensorRT 10.9.0.34.*10.16.1.11/,
    ],
  ])('%s', async (_, behaviour, code, message) => {
    trtexec(behaviour || ';')
    await expect(build()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(leftovers()).toEqual([])
  })

  test('the engine does not run', async () => {
    trtexec()
    tryPlans = async () => {
      throw new Error('not a unit vector')
    }
    await expect(build()).rejects.toThrow('not a unit vector')
    expect(leftovers()).toEqual([])
    tryPlans = async () => {}
    await build()
  })

  test('the disk is full, and the timings are unchanged', async () => {
    trtexec()
    tryPlans = async ({ engine }) => {
      mkdirSync(`${engine.video}.json`)
    }
    await expect(build()).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(/engines cannot be written to .*\(EISDIR\)/),
    })
    expect(leftovers()).toEqual([])
  })

  test('the real trial run, on a machine without such a GPU', async () => {
    trtexec()
    const failure = await buildEngines(request()).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: expect.stringMatching(/^(library|internal|engine)$/) })
    expect(leftovers()).toEqual([])
  })

  test('the tool cannot be run', async () => {
    trtexec()
    writeFileSync(join(bin, 'trtexec'), '#!/nowhere/interpreter\n')
    await expect(build()).rejects.toMatchObject({
      code: 'library',
      message: expect.stringContaining('cannot be run'),
    })
    expect(leftovers()).toEqual([])
  })

  test('it is cancelled: the tool and what it started have ended', async () => {
    const pids = join(bin, 'pids')
    trtexec(`
      const child = require('node:child_process').spawn('sleep', ['600'])
      fs.writeFileSync(${JSON.stringify(pids)}, process.pid + ' ' + child.pid)
      setInterval(() => {}, 1000)
    `)
    const controller = new AbortController()
    const building = build({ signal: controller.signal }).catch((error: unknown) => error)
    await vi.waitFor(() => expect(readFileSync(pids, 'utf8')).toMatch(/^\d+ \d+$/), 10_000)
    const both = readFileSync(pids, 'utf8').split(' ').map(Number)
    controller.abort('enough')
    expect(await building).toBe('enough')
    expect(leftovers()).toEqual([])
    await vi.waitFor(() => {
      for (const pid of both) expect(isAlive(pid)).toBe(false)
    })
  })

  test('it is cancelled while another one builds', async () => {
    trtexec('setTimeout(() => write("10.16.1.11"), 800)')
    const first = build()
    await vi.waitFor(() => expect(calls()).toHaveLength(1), 10_000)
    const controller = new AbortController()
    const second = build({ signal: controller.signal })
    setTimeout(() => controller.abort('enough'), 100)
    await expect(second).rejects.toBe('enough')
    await first
  })

  test('an earlier build that was killed', async () => {
    trtexec('setInterval(() => {}, 1000)')
    const controller = new AbortController()
    const building = build({ signal: controller.signal }).catch(() => {})
    await vi.waitFor(() => expect(calls()).toHaveLength(1), 10_000)
    const [unfinished = ''] = leftovers()
    expect(unfinished).toMatch(/^\.building-/)
    controller.abort()
    await building
    // The state that SIGKILL leaves behind.
    mkdirSync(join(out, unfinished))
    writeFileSync(join(out, unfinished, 'video.plan'), 'half')
    trtexec()
    await build()
    expect(leftovers()).not.toContain(unfinished)
  })
})

describe('an impossible build is refused before it starts', () => {
  test('a folder that cannot be written', async () => {
    trtexec()
    writeFileSync(join(out, '..', '..', 'file'), '')
    const folders = [join(out, '..', '..', 'file', 'engines')]
    await expect(build({ folders })).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(/cannot be written.*cuda.engineCache/),
    })
  })

  test.skipIf(!existsSync('/proc'))(
    'a folder below /proc, where mkdir looks for its end in vain',
    async () => {
      trtexec()
      await expect(build({ folders: ['/proc/none/engines'] })).rejects.toMatchObject({
        code: 'model',
        message: expect.stringContaining('cannot be written to /proc/none/engines (ENOENT)'),
      })
    },
  )

  test('with a lean runtime', async () => {
    const tensorrt = { ...request().tensorrt, lean: true }
    await expect(build({ tensorrt })).rejects.toMatchObject({ code: 'library' })
  })

  test('for larger batches than the graph accepts', async () => {
    trtexec()
    const fixed = { inputs: { videos: [2, 8, 3, 224, 224] } }
    const small = await onnxBundle({ video: fixed }, JSON.stringify(tokenizerJson))
    await expect(build({ bundle: small, wanted: { hostCode: false, maxBatch: 4 } })).rejects.toMatchObject({
      code: 'model',
      message: expect.stringContaining('takes batches of 2, but batches of 4 are required'),
    })
    expect((await build({ bundle: small })).video.sidecar.maxBatch).toBe(2)
  })

  test('in a precision that differs from the graph’s, with TensorRT 11', async () => {
    trtexec()
    const tensorrt = { ...request().tensorrt, version: '11.1.0.5' }
    await expect(build({ tensorrt, wanted: { hostCode: false, precision: 'fp16' } })).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(
        /is fp32 \(3000 numbers in fp32\).*TensorRT 11.*export --precision fp16/,
      ),
    })
    expect(calls()).toEqual([])
    expect(leftovers()).toEqual([])
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A zombie counts as ended, because only its parent can reap it.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
