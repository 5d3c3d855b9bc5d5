import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { loadBundle, type ModelBundle } from '../../src/model/bundle.ts'
import {
  engineFolders,
  explainNoPlan,
  findPlan,
  findPlans,
  type PlanSearch,
} from '../../src/tensorrt/plan-files.ts'
import type { Sidecar } from '../../src/tensorrt/sidecar.ts'
import { makeFolder, removeFolders, writeBundle } from './bundles.ts'
import { machine, placeEngine, planBytes } from './engines.ts'

let bundle: ModelBundle
let folder: string

beforeEach(async () => {
  vi.stubEnv('XDG_CACHE_HOME', makeFolder())
  bundle = await loadBundle(writeBundle())
  folder = join(bundle.directory, 'engines')
})
afterEach(() => {
  vi.unstubAllEnvs()
  removeFolders()
})

const search = (more: Partial<PlanSearch> = {}): PlanSearch => ({
  ...machine,
  bundle,
  folders: [folder],
  wanted: { hostCode: false },
  ...more,
})

const mismatchesOf = async (more?: Partial<PlanSearch>) =>
  (await findPlan('video', search(more))).rejected.flatMap(({ mismatches }) => mismatches)

describe('an engine is accepted', () => {
  test('when its sidecar and the file match', async () => {
    const path = placeEngine(folder, bundle)
    const { plan, rejected } = await findPlan('video', search())
    expect(plan).toMatchObject({ path, sidecar: { precision: 'fp16', maxBatch: 8 } })
    expect(rejected).toEqual([])
  })

  test('for its own tower only', async () => {
    placeEngine(folder, bundle)
    expect((await findPlan('text', search())).plan).toBeUndefined()
    expect((await findPlans(search())).missing).toBe(`no TensorRT engine for text in ${folder}`)
    placeEngine(folder, bundle, { tower: 'text' })
    expect(Object.keys((await findPlans(search())).plans ?? {})).toEqual(['video', 'text'])
  })

  test('from the first folder, preferring one built on the same GPU, then the newest', async () => {
    const at = (day: number) => ({ built: { at: `2026-01-0${day}T00:00:00.000Z`, by: 'trtexec' } })
    const cache = makeFolder()
    expect(engineFolders(bundle, cache)).toEqual([cache, folder])
    placeEngine(folder, bundle, { name: 'v1', sidecar: at(1) })
    const newest = placeEngine(folder, bundle, { name: 'v2', sidecar: at(3) })
    placeEngine(folder, bundle, { name: 'v3', sidecar: { ...at(5), gpu: 'NVIDIA H100' } })
    placeEngine(folder, bundle, { name: 'v4', sidecar: at(2) })
    const found = () => findPlan('video', search({ folders: [cache, folder] }))
    expect((await found()).plan?.path).toBe(newest)
    const cached = placeEngine(cache, bundle, { name: 'v5', sidecar: { ...at(1), gpu: 'NVIDIA H100' } })
    expect((await found()).plan?.path).toBe(cached)
  })

  test('on a newer driver than it was built with', async () => {
    placeEngine(folder, bundle, { sidecar: { driver: '12.4' } })
    expect((await findPlan('video', search({ driver: '12.10' }))).plan).toBeDefined()
  })

  test.each([
    ['10.9.0.34', '10.16.1.11', true],
    ['10.9.0.34', '11.1.0.5', true],
    ['11.1.0.5', '10.16.1.11', false],
    ['10.16.1.12', '10.16.1.11', false],
    ['8.6.1.6', '10.16.1.11', false],
  ])('version-compatible of %s by TensorRT %s: %s', async (built, version, fits) => {
    placeEngine(folder, bundle, { sidecar: { tensorrt: built, hostCode: true } })
    for (const lean of [false, true]) {
      const found = await findPlan(
        'video',
        search({ tensorrt: { version, lean }, wanted: { hostCode: true } }),
      )
      expect(found.plan !== undefined).toBe(fits)
    }
  })
})

describe('an engine is refused, and the field is named', () => {
  test.each<[string, Partial<Sidecar>, string, string]>([
    ['platform', { platform: 'plan9-z80' }, 'plan9-z80', `${process.platform}-${process.arch}`],
    ['tensorrt', { tensorrt: '10.16.0.72' }, '10.16.0.72', '10.16.1.11'],
    ['computeCapability', { computeCapability: '8.9' }, '8.9', '9.0 (NVIDIA H200)'],
    ['driver', { driver: '13.0' }, 'CUDA 13.0', 'CUDA 12.8, which is older'],
    ['hostCode', { hostCode: true }, 'true', 'not allowed (cuda.hostCode)'],
    ['plan.bytes', { plan: { file: 'video.plan', sha256: '0'.repeat(64), bytes: 5 } }, '5', '34'],
  ])('%s', async (field, sidecar, plan, here) => {
    placeEngine(folder, bundle, { sidecar })
    expect(await mismatchesOf()).toContainEqual({ field, plan, here })
  })

  test('precision and batch, when they are requested', async () => {
    placeEngine(folder, bundle)
    expect(await mismatchesOf({ wanted: { hostCode: false, precision: 'bf16', maxBatch: 9 } })).toEqual([
      { field: 'precision', plan: 'fp16', here: 'bf16 is wanted' },
      { field: 'maxBatch', plan: '8', here: '9 is wanted' },
    ])
    expect(await mismatchesOf({ wanted: { hostCode: false, precision: 'fp16', maxBatch: 8 } })).toEqual([])
  })

  test('a changed graph or changed weights of its own tower only', async () => {
    const { video, 'video-data': _, ...others } = { ...placed().onnx } as Record<string, string>
    placeEngine(folder, bundle, {
      sidecar: { onnx: { ...others, video: '1'.repeat(64) } as Sidecar['onnx'] },
    })
    const fields = (await mismatchesOf()).map(({ field }) => field)
    expect(fields).toEqual(['onnx.video', 'onnx.video-data'])
    expect(video).toHaveLength(64)
    expect(Object.keys(placed().onnx).sort()).toEqual(['video', 'video-data'])
  })

  test('a plan that differs from the one in the sidecar', async () => {
    const path = placeEngine(folder, bundle)
    writeFileSync(path, planBytes('10.16.1.11', 'b plan'))
    expect(await mismatchesOf()).toMatchObject([{ field: 'plan.sha256' }])
  })

  test('every field at once, in one sentence', async () => {
    const path = placeEngine(folder, bundle, { sidecar: { tensorrt: '11.0.0.1', computeCapability: '8.0' } })
    const { rejected } = await findPlan('video', search())
    expect(explainNoPlan('video', [folder], rejected)).toBe(
      `no TensorRT engine for video fits: ${path}.json: tensorrt is 11.0.0.1, here 10.16.1.11; ` +
        'computeCapability is 8.0, here 9.0 (NVIDIA H200)',
    )
  })

  test('a lean runtime and a plain plan', async () => {
    placeEngine(folder, bundle)
    const tensorrt = { ...machine.tensorrt, lean: true }
    expect(await mismatchesOf({ tensorrt, wanted: { hostCode: true } })).toMatchObject([
      { field: 'tensorrt' },
    ])
  })
})

describe('untrusted engines are refused', () => {
  test('a plan without a sidecar', async () => {
    rmSync(`${placeEngine(folder, bundle)}.json`)
    expect(await mismatchesOf()).toMatchObject([{ field: 'sidecar', plan: 'missing' }])
  })

  test.each([
    ['not JSON', '{', 'not JSON'],
    ['another format', JSON.stringify({ formatVersion: 2 }), 'formatVersion'],
    ['half of it', JSON.stringify({ formatVersion: 1, tower: 'video' }), 'platform: is required'],
  ])('a sidecar that is %s', async (_, text, message) => {
    writeFileSync(`${placeEngine(folder, bundle)}.json`, text)
    expect(await mismatchesOf()).toMatchObject([{ field: 'sidecar', plan: expect.stringContaining(message) }])
  })

  test.each(['../video.plan', '/etc/passwd'])('a plan at %s', async (file) => {
    const plan = planBytes()
    writeFileSync(join(bundle.directory, 'video.plan'), plan)
    const { sha256, bytes } = placed().plan
    placeEngine(folder, bundle, { sidecar: { plan: { file, sha256, bytes } } })
    expect(await mismatchesOf()).toMatchObject([
      { field: 'plan.file', here: expect.stringContaining('lies outside the folder') },
    ])
  })

  test.each(['plan', 'sidecar'])('a symbolic link out of the folder instead of the %s', async (which) => {
    const path = placeEngine(folder, bundle)
    const moved = join(makeFolder(), 'moved')
    const linked = which === 'plan' ? path : `${path}.json`
    renameSync(linked, moved)
    symlinkSync(moved, linked)
    expect(await mismatchesOf()).toMatchObject([{ field: which === 'plan' ? 'plan.file' : 'sidecar' }])
  })

  test('a plan that everyone may write', async () => {
    chmodSync(placeEngine(folder, bundle), 0o666)
    expect(await mismatchesOf()).toMatchObject([{ field: 'plan.file', plan: 'writable by everybody' }])
  })

  test('a folder instead of the plan', async () => {
    const path = placeEngine(folder, bundle)
    rmSync(path)
    mkdirSync(path)
    expect(await mismatchesOf()).toMatchObject([{ field: 'plan.file' }])
  })
})

test('an abort while a plan is hashed', async () => {
  placeEngine(folder, bundle, { plan: planBytes('10.16.1.11', 'x'.repeat(3_000_000)) })
  const controller = new AbortController()
  const found = findPlan('video', search({ signal: controller.signal }))
  controller.abort('gone')
  await expect(found).rejects.toBe('gone')
})

/** The sidecar of a matching engine. */
function placed(): Sidecar {
  return JSON.parse(readFileSync(`${placeEngine(makeFolder(), bundle)}.json`, 'utf8')) as Sidecar
}
