import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { loadBundle } from '../../src/model/bundle.ts'
import { readOnnxGraph } from '../../src/model/onnx-graph.ts'
import { specifyBuild } from '../../src/tensorrt/build-spec.ts'
import { buildArguments } from '../../src/tensorrt/build-tool.ts'
import { isVersionOf, planVersion } from '../../src/tensorrt/plan-header.ts'
import { makeFolder, removeFolders } from './bundles.ts'
import { type GraphParts, onnxBundle, onnxBytes, planBytes } from './engines.ts'

afterEach(removeFolders)

const written = (content: Uint8Array): string => {
  const path = join(makeFolder(), 'graph.onnx')
  writeFileSync(path, content)
  return path
}

describe('reading a graph', () => {
  test('returns its inputs and the types of its weights, and skips everything else', () => {
    const graph: GraphParts = {
      inputs: { videos: [-1, 8, 3, 448, 448], 'other:0': [2, -1] },
      weights: [
        { type: 10, dims: [1000, 300] },
        { type: 1, dims: [7], packed: true },
        { type: 10, dims: [5], packed: true },
        { type: 1, dims: [] },
        { type: 7, dims: [12] },
      ],
    }
    expect(readOnnxGraph(written(onnxBytes(graph)))).toMatchObject({
      inputs: [
        { name: 'videos', dims: [-1, 8, 3, 448, 448] },
        { name: 'other:0', dims: [2, -1] },
      ],
      weights: { fp16: 300_005, fp32: 8 },
    })
  })

  test('of the demo model', async () => {
    const { files } = await loadBundle(new URL('../../models/demo', import.meta.url).pathname)
    expect(readOnnxGraph(files.video.path).inputs).toEqual([
      { name: 'videos', dims: [-1, 8, 3, 224, 224], isUint8: true, consumers: new Set(['Cast']) },
    ])
    expect(readOnnxGraph(files.text.path).inputs.map(({ name }) => name)).toEqual([
      'input_ids',
      'attention_mask',
    ])
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('not a graph at all, nor anything near')],
    ['zeros', Buffer.alloc(100)],
    [
      'half of one',
      onnxBytes({ inputs: { videos: [1] }, weights: [{ type: 1, dims: [4] }] }).subarray(0, 5000),
    ],
  ])('unless the file is %s', (_, content) => {
    expect(() => readOnnxGraph(written(content))).toThrow(
      expect.objectContaining({ code: 'model', message: expect.stringContaining('graph.onnx') }),
    )
  })

  test('fails if the file does not exist', () => {
    expect(() => readOnnxGraph('/nowhere/x.onnx')).toThrow('graph /nowhere/x.onnx: not found')
  })
})

const weights = (...types: number[]) => types.map((type, i) => ({ type, dims: [100 - i] }))
const videos = { videos: [-1, 8, 3, 224, 224] }

describe('the build plan', () => {
  test.each<
    [string, number[], 'fp32' | 'fp16' | 'bf16' | 'fp8' | undefined, number, string, string | undefined]
  >([
    ['fp32 as it is', [1], undefined, 10, 'fp32', undefined],
    ['mostly fp16 as it is', [10, 1], undefined, 10, 'fp16', undefined],
    ['mostly bf16 as it is', [16, 1], undefined, 11, 'bf16', undefined],
    ['quantised to fp8 as it is', [1, 10, 17], undefined, 11, 'fp8', undefined],
    ['without weights as fp32', [], undefined, 11, 'fp32', undefined],
    ['what is asked for and there', [10], 'fp16', 11, 'fp16', undefined],
    ['fp32 as bf16', [1], 'bf16', 10, 'bf16', 'bf16'],
    ['fp32 as fp16', [1], 'fp16', 10, 'fp16', 'fp16'],
  ])('%s', async (_, types, wanted, major, precision, lowerTo) => {
    const bundle = await onnxBundle({ video: { inputs: videos, weights: weights(...types) } })
    expect(specifyBuild(bundle, 'video', { precision: wanted, maxBatch: 8, major })).toMatchObject({
      precision,
      lowerTo,
    })
  })

  test.each<[string, number[], 'fp32' | 'fp16' | 'bf16' | 'fp8', number, RegExp]>([
    [
      'another precision with 11',
      [1],
      'bf16',
      11,
      /video graph .* is fp32 .*TensorRT 11 computes.*--precision bf16/,
    ],
    ['fp32 of fp16', [10], 'fp32', 10, /is fp16 .*can turn only fp32/],
    ['fp8 of what is not quantised', [1], 'fp8', 10, /quantise it to fp8 with ModelOpt/],
  ])('not %s', async (_, types, precision, major, message) => {
    const bundle = await onnxBundle({ video: { inputs: videos, weights: weights(...types) } })
    expect(() => specifyBuild(bundle, 'video', { precision, maxBatch: 8, major })).toThrow(
      expect.objectContaining({ code: 'model', message: expect.stringMatching(message) }),
    )
  })

  test('has the sizes of the bundle where the graph leaves them open', async () => {
    const open = await onnxBundle({ video: { inputs: { x: [-1, -1, -1, -1, -1] } } })
    expect(specifyBuild(open, 'video', { maxBatch: 1, major: 10 }).shapes).toEqual({
      x: { min: [1, 8, 3, 224, 224], opt: [1, 8, 3, 224, 224], max: [1, 8, 3, 224, 224] },
    })
    const tao = await onnxBundle({ video: { inputs: { x: [-1, 3, -1, 224, 224] } } })
    expect(specifyBuild(tao, 'video', { maxBatch: 6, major: 10 }).shapes.x?.max).toEqual([6, 3, 8, 224, 224])
  })

  test('has no profiles when all sizes are fixed, and uses the graph’s own batch', async () => {
    const bundle = await onnxBundle({ video: { inputs: { videos: [2, 8, 3, 224, 224] } } })
    const build = specifyBuild(bundle, 'video', { maxBatch: 8, major: 11 })
    expect(build).toMatchObject({ maxBatch: 2, isDynamic: false })
    const args = buildArguments({ kind: 'trtexec', program: '' }, command(build, '/out', 11))
    expect(args.filter((arg) => /Shapes|profile|stronglyTyped/.test(arg))).toEqual([])
  })

  test('accepts byte inputs only into a cast, as TensorRT does', async () => {
    const plan = async (consumers: string[]) => {
      const bundle = await onnxBundle({ video: { inputs: { videos: [-1, 8, 3, 224, 224] }, consumers } })
      return specifyBuild(bundle, 'video', { maxBatch: 8, major: 11 })
    }
    expect((await plan(['Cast', 'Cast'])).maxBatch).toBe(8)
    await expect(plan(['Shape', 'Reshape', 'Cast'])).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(/the uint8 input videos to Shape, Reshape, .*Cast: export/),
    })
  })

  test('refuses operators that only ONNX Runtime has, as in int8 graphs', async () => {
    const graph = { inputs: { videos: [-1, 8, 3, 224, 224] }, onnxRuntimeOps: ['MatMulIntegerToFloat'] }
    const bundle = await onnxBundle({ video: graph })
    expect(() => specifyBuild(bundle, 'video', { maxBatch: 8, major: 10 })).toThrow(
      /MatMulIntegerToFloat, .*for CPUs.*--precision bf16/,
    )
  })

  test.each(['models/demo', ...['canonical', 'vss', 'tao'].map((form) => `test/export/bundles/${form}`)])(
    'is made for both towers of %s',
    async (folder) => {
      const bundle = await loadBundle(join(import.meta.dirname, '../..', folder))
      for (const tower of ['video', 'text'] as const) {
        expect(specifyBuild(bundle, tower, { maxBatch: 2, major: 11 })).toMatchObject({ isDynamic: true })
      }
    },
  )

  test('names all shapes of a graph with open ones, even if minimum and maximum are equal', async () => {
    const bundle = await onnxBundle()
    const build = specifyBuild(bundle, 'video', { maxBatch: 1, major: 10 })
    // trtexec fails on an empty "--minShapes=".
    expect(buildArguments({ kind: 'trtexec', program: '' }, command(build))).toEqual(
      expect.arrayContaining(['min', 'opt', 'max'].map((which) => `--${which}Shapes=videos:1x8x3x224x224`)),
    )
  })

  test.each<[string, 'video' | 'text', GraphParts['inputs']]>([
    ['a video graph of two inputs', 'video', { a: [-1, 8, 3, 2, 2], b: [1] }],
    ['a video graph of pictures', 'video', { a: [-1, 3, 224, 224] }],
    ['a text graph without mask', 'text', { input_ids: [-1, -1] }],
  ])('is not %s', async (_, tower, inputs) => {
    const bundle = await onnxBundle({ [tower]: { inputs } })
    expect(() => specifyBuild(bundle, tower, { maxBatch: 8, major: 10 })).toThrow(/has inputs .*expected/)
  })
})

const command = (build: ReturnType<typeof specifyBuild>, folder = '/out', major = 10) => ({
  build,
  plan: join(folder, 'video.plan'),
  timingCache: join(folder, 'timings'),
  scratch: folder,
  device: 1,
  major,
})

const python = spawnSync('python3', ['--version']).status === 0
if (!python) console.warn('tests of the builder in Python are skipped: they need python3')

describe.skipIf(!python)('the builder in Python', () => {
  /** The part of TensorRT's Python module that the script calls. It records the calls. */
  const module = (version: string) => `
import json, os
__version__ = "${version}"
calls = []
class Enum:
    def __getattr__(self, name): return 0 if name == "STRONGLY_TYPED" else name
class Logger:
    INFO = "info"
    def __init__(self, level): pass
def init_libnvinfer_plugins(logger, namespace): calls.append(["plugins"])
NetworkDefinitionCreationFlag = BuilderFlag = Enum()
class Profile:
    def set_shape(self, *args): calls.append(["shape", *args])
class Cache:
    def __init__(self, old): self.old = bytes(old)
    def serialize(self): return self.old + b"+"
class Config:
    def set_flag(self, flag): calls.append(["flag", flag])
    def add_optimization_profile(self, profile): calls.append(["profile"])
    def create_timing_cache(self, old): return None if old == b"damaged" else Cache(old)
    def set_timing_cache(self, cache, ignore_mismatch): calls.append(["cache", ignore_mismatch])
class Builder:
    def __init__(self, logger): pass
    def create_network(self, flags): calls.append(["network", flags])
    def create_builder_config(self): return Config()
    def create_optimization_profile(self): return Profile()
    def build_serialized_network(self, network, config):
        calls.append(["visible", os.environ["CUDA_VISIBLE_DEVICES"]])
        with open(os.environ["CALLS"], "w") as file: json.dump(calls, file)
        return None if os.environ.get("FAIL") else b"a plan"
class OnnxParser:
    num_errors = 1
    def __init__(self, network, logger): pass
    def parse_from_file(self, path): calls.append(["parse", path]); return "broken" not in path
    def get_error(self, i): return "no such operator"
`

  const run = async (version: string, { lower = false, env = {}, onnx = '', timings = 'old' } = {}) => {
    const folder = makeFolder()
    mkdirSync(join(folder, 'tensorrt'))
    writeFileSync(join(folder, 'tensorrt/__init__.py'), module(version))
    writeFileSync(join(folder, 'timings'), timings)
    const bundle = await onnxBundle()
    const precision = lower ? 'bf16' : undefined
    const build = specifyBuild(bundle, 'video', { precision, maxBatch: 4, major: 10 })
    const args = buildArguments(
      { kind: 'python', program: '' },
      command({ ...build, ...(onnx && { onnx }) }, folder),
    )
    const { status, stdout, stderr } = spawnSync('python3', args, {
      encoding: 'utf8',
      env: { ...process.env, PYTHONPATH: folder, CALLS: join(folder, 'calls'), ...env },
    })
    const read = (name: string) => readFileSync(join(folder, name), 'utf8')
    return { status, stdout, stderr, read, calls: () => JSON.parse(read('calls')) as unknown[][], bundle }
  }

  test('builds with the requested options, and keeps the timings', async () => {
    const { status, stderr, read, calls, bundle } = await run('10.16.1.11')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect([read('video.plan'), read('timings')]).toEqual(['a plan', 'old+'])
    const shape = ['shape', 'videos', [1, 8, 3, 224, 224], [2, 8, 3, 224, 224], [4, 8, 3, 224, 224]]
    expect(calls()).toEqual([
      ['plugins'],
      ['network', 1],
      ['parse', bundle.files.video.path],
      shape,
      ['profile'],
      shape,
      ['profile'],
      ['cache', false],
      ['visible', '1'],
    ])
  })

  test('starts with new timings when the old ones are damaged', async () => {
    const { status, read } = await run('11.1.0.5', { timings: 'damaged' })
    expect([status, read('timings')]).toEqual([0, '+'])
  })

  test('requests no types with TensorRT 11, and a lower precision with 10', async () => {
    expect((await run('11.1.0.5')).calls()).toContainEqual(['network', 0])
    const lowered = (await run('10.9.0.34', { lower: true })).calls()
    expect(lowered).toContainEqual(['network', 0])
    expect(lowered).toContainEqual(['flag', 'BF16'])
  })

  test('numbers GPUs as CUDA_VISIBLE_DEVICES does', async () => {
    const { calls } = await run('10.9.0.34', { env: { CUDA_VISIBLE_DEVICES: '5, 7' } })
    expect(calls()).toContainEqual(['visible', '7'])
  })

  test('reports what is wrong', async () => {
    expect(await run('10.9.0.34', { onnx: '/x/broken.onnx' })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('/x/broken.onnx cannot be parsed: no such operator'),
    })
    expect((await run('10.9.0.34', { env: { FAIL: '1' } })).status).toBe(1)
  })
})

test('reads the version at the beginning of a plan', async () => {
  expect(await planVersion(written(planBytes('11.1.0.5')))).toBe('11.1.0.5')
  expect(await planVersion(written(planBytes('10.9.0.300')))).toBe('10.9.0.44')
  expect(isVersionOf('10.9.0.44', '10.9.0.300')).toBe(true)
  expect(isVersionOf('10.9.0.44', '10.9.1.300')).toBe(false)
  expect(await planVersion(written(Buffer.alloc(28)))).toBeUndefined()
  expect(await planVersion(written(planBytes().subarray(0, 20)))).toBeUndefined()
})
