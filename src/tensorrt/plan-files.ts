/**
 * Finds TensorRT plans (serialized engines) on disk. Beside each plan, a sidecar describes what it was built from and for.
 * Plans are programs, so one is used only from the given folders, only with its sidecar, and only if everything in the
 * sidecar fits.
 */
import { readdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256OfFiles } from '../base/file-hash.ts'
import { locateInside } from '../base/located-file.ts'
import { describeIssues, inPlainWords } from '../base/validate.ts'
import { ModelError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import type { Precision } from '../options.ts'
import { SIDECAR_FORMAT, SIDECAR_SUFFIX, type Sidecar, sidecarSchema, TOWERS, type Tower } from './sidecar.ts'

export interface PlanFile {
  /** Absolute. */
  path: string
  sidecar: Sidecar
}

/** The machine that a plan must fit. */
export interface TargetMachine {
  /** `lean`: runs version-compatible plans only. */
  readonly tensorrt: { version: string; lean: boolean }
  readonly gpu: { name: string; computeCapability: string }
  /** The newest CUDA version that the driver supports. */
  readonly driver: string
}

/** What the caller requires of a plan. */
export interface PlanRequirements {
  /** Default: any. */
  precision?: Precision | undefined
  /** Minimum for the plan's largest batch. Default: any. */
  maxBatch?: number | undefined
  /** Whether a plan may contain code for the CPU. */
  hostCode: boolean
}

export interface Mismatch {
  /** Field of the sidecar. */
  field: string
  /** Value in the sidecar, or of the plan. */
  plan: string
  /** Value of this machine or bundle, or the one that the caller requires. */
  here: string
}

/** A plan that was found but does not fit. */
export interface RejectedPlan {
  path: string
  mismatches: Mismatch[]
}

export interface PlanSearch extends TargetMachine {
  readonly bundle: ModelBundle
  /** In search order. A folder that does not exist counts as empty. */
  readonly folders: readonly string[]
  readonly wanted: PlanRequirements
  readonly signal?: AbortSignal | undefined
}

export type Plans = Readonly<Record<Tower, PlanFile>>

/** The plans of both towers, or why one is missing. */
export async function findPlans(
  search: PlanSearch,
): Promise<{ plans: Plans; missing?: never } | { plans?: never; missing: string }> {
  const found = await Promise.all(TOWERS.map((tower) => findPlan(tower, search)))
  const [video, text] = found.map(({ plan }) => plan)
  if (video && text) return { plans: { video, text } }
  const why = found.flatMap(({ plan, rejected }, i) =>
    plan ? [] : [explainNoPlan(TOWERS[i] as Tower, search.folders, rejected)],
  )
  return { missing: why.join('; ') }
}

export const platform: string = `${process.platform}-${process.arch}`

/** The folders of a bundle's plans: the caller's cache, then the bundle's own. */
export function engineFolders(bundle: ModelBundle, cache: string | undefined): string[] {
  return [...(cache === undefined ? [] : [cache]), join(bundle.directory, 'engines')]
}

/**
 * Finds a plan of a tower that fits, preferring those built on the same GPU, then the newest. `rejected` says why others do
 * not fit. Rejects only with `signal.reason`: unreadable files are not plans.
 */
export async function findPlan(
  tower: Tower,
  search: PlanSearch,
): Promise<{ plan?: PlanFile; rejected: RejectedPlan[] }> {
  const rejected: RejectedPlan[] = []
  const { gpu } = search
  for (const folder of search.folders) {
    const fitting: PlanFile[] = []
    for (const found of await plansIn(folder)) {
      if (found.sidecar ? found.sidecar.tower !== tower : !found.name.startsWith(tower)) continue
      const checked = await check(found, search)
      if (found.sidecar && checked.path !== undefined) {
        fitting.push({ path: checked.path, sidecar: found.sidecar })
      } else {
        rejected.push({ path: join(folder, found.name), mismatches: checked.mismatches ?? [] })
      }
    }
    const isSame = ({ sidecar }: PlanFile) => Number(sidecar.gpu === gpu.name)
    fitting.sort((a, b) => isSame(b) - isSame(a) || (a.sidecar.built.at < b.sidecar.built.at ? 1 : -1))
    const [plan] = fitting
    if (plan) return { plan, rejected }
  }
  return { rejected }
}

/** Explains why no plan fits, with each plan that was found. */
export function explainNoPlan(
  tower: Tower,
  folders: readonly string[],
  rejected: readonly RejectedPlan[],
): string {
  if (rejected.length === 0) return `no TensorRT engine for ${tower} in ${folders.join(' or ')}`
  const lines = rejected.map(
    ({ path, mismatches }) => `${path}: ${mismatches.map(describeMismatch).join('; ')}`,
  )
  return `no TensorRT engine for ${tower} fits: ${lines.join('; ')}`
}

export function describeMismatch({ field, plan, here }: Mismatch): string {
  return `${field} is ${plan}, here ${here}`
}

/** SHA-256 of every file that a tower's engine may depend on: its graph, its weights, and files of unknown purpose. */
export function onnxHashes(bundle: ModelBundle, tower: Tower): Record<string, string> {
  const [other] = TOWERS.filter((name) => name !== tower) as [Tower]
  const isOthers = (name: string) => name.startsWith(other) || name === 'tokenizer' || name === 'golden'
  const own = Object.entries(bundle.files).filter(([name]) => !isOthers(name))
  return Object.fromEntries(own.map(([name, { sha256 }]) => [name, sha256]))
}

interface FolderEntry {
  root: string
  /** File name of the sidecar, or of a plan without one. */
  name: string
  sidecar?: Sidecar
  /** Why there is no sidecar. */
  mismatch?: Mismatch
}

type CheckedPlan = { path: string; mismatches?: never } | { path?: never; mismatches: Mismatch[] }

/** All plans and sidecars of a folder. */
async function plansIn(folder: string): Promise<FolderEntry[]> {
  let root: string
  let names: string[]
  try {
    root = await realpath(folder)
    names = (await readdir(root)).sort()
  } catch {
    return []
  }
  const sidecars = names.filter((name) => name.endsWith(SIDECAR_SUFFIX))
  const orphans = names.filter((name) => name.endsWith('.plan') && !names.includes(`${name}.json`))
  return [
    ...(await Promise.all(sidecars.map((name) => readSidecar(root, name)))),
    ...orphans.map((name) => ({
      root,
      name,
      mismatch: { field: 'sidecar', plan: 'missing', here: `${name}.json is expected beside it` },
    })),
  ]
}

async function readSidecar(root: string, name: string): Promise<FolderEntry> {
  const unusable = (what: string): FolderEntry => ({
    root,
    name,
    mismatch: { field: 'sidecar', plan: what, here: `format ${SIDECAR_FORMAT} is read` },
  })
  try {
    const { path } = await locateInside(root, name, { what: 'sidecar', folder: 'the folder' })
    const result = sidecarSchema.safeParse(JSON.parse(await readFile(path, 'utf8')), inPlainWords)
    if (result.success) return { root, name, sidecar: result.data }
    return unusable(describeIssues(result.error.issues).message)
  } catch (error) {
    return unusable(error instanceof SyntaxError ? 'not JSON' : (error as Error).message)
  }
}

/** Checks the cheap conditions first: a plan for another machine is rejected without hashing gigabytes. */
async function check(
  { root, sidecar, mismatch: none }: FolderEntry,
  search: PlanSearch,
): Promise<CheckedPlan> {
  if (!sidecar) return { mismatches: none ? [none] : [] }
  const mismatches = compare(sidecar, search)
  if (mismatches.length > 0) return { mismatches }
  const { file, bytes, sha256 } = sidecar.plan
  try {
    const located = await locateInside(root, file, { what: 'plan', folder: 'the folder' })
    if (located.mode & 0o002) {
      return mismatch('plan.file', 'writable by everybody', 'plans are programs: chmod o-w')
    }
    if (located.size !== BigInt(bytes)) return mismatch('plan.bytes', `${bytes}`, `${located.size}`)
    const [found] = await sha256OfFiles([located], search.signal)
    if (found !== sha256) return mismatch('plan.sha256', sha256, `${found}`)
    return { path: located.path }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    return mismatch('plan.file', file, error.message)
  }
}

function mismatch(field: string, plan: string, here: string): { mismatches: Mismatch[] } {
  return { mismatches: [{ field, plan, here }] }
}

function compare(sidecar: Sidecar, { bundle, tensorrt, gpu, driver, wanted }: PlanSearch): Mismatch[] {
  const found: Mismatch[] = []
  const expect = (field: string, fits: boolean, plan: string, here: string) => {
    if (!fits) found.push({ field, plan, here })
  }
  expect('platform', sidecar.platform === platform, sidecar.platform, platform)
  expect('hostCode', wanted.hostCode || !sidecar.hostCode, 'true', 'not allowed (cuda.hostCode)')
  expect('tensorrt', canRun(tensorrt, sidecar), sidecar.tensorrt, describeTensorRt(tensorrt))
  const { computeCapability } = gpu
  expect(
    'computeCapability',
    sidecar.computeCapability === computeCapability,
    sidecar.computeCapability,
    `${computeCapability} (${gpu.name})`,
  )
  // Drivers run plans that were built under older ones; the reverse is not guaranteed.
  expect(
    'driver',
    compareVersions(driver, sidecar.driver) >= 0,
    `CUDA ${sidecar.driver}`,
    `CUDA ${driver}, which is older`,
  )
  if (wanted.precision !== undefined) {
    expect(
      'precision',
      sidecar.precision === wanted.precision,
      sidecar.precision,
      `${wanted.precision} is wanted`,
    )
  }
  if (wanted.maxBatch !== undefined && sidecar.tower === 'video') {
    expect(
      'maxBatch',
      sidecar.maxBatch >= wanted.maxBatch,
      `${sidecar.maxBatch}`,
      `${wanted.maxBatch} is wanted`,
    )
  }
  const hashes = onnxHashes(bundle, sidecar.tower)
  for (const name of new Set([...Object.keys(hashes), ...Object.keys(sidecar.onnx)])) {
    const [plan = 'none', here = 'none'] = [sidecar.onnx[name], hashes[name]]
    expect(`onnx.${name}`, plan === here, plan, `${here}: the bundle has changed`)
  }
  return found
}

/**
 * A plain plan runs only with exactly its version of TensorRT. A version-compatible one also runs with later versions of
 * its major version, and one of 10 also with 11.
 */
function canRun(tensorrt: TargetMachine['tensorrt'], { tensorrt: built, hostCode }: Sidecar): boolean {
  if (!hostCode) return built === tensorrt.version && !tensorrt.lean
  const [from = 0, to = 0] = [built, tensorrt.version].map((text) => Number.parseInt(text, 10))
  return compareVersions(tensorrt.version, built) >= 0 && (from === to || (from === 10 && to === 11))
}

function describeTensorRt({ version, lean }: TargetMachine['tensorrt']): string {
  return lean ? `${version} (lean, which runs version-compatible engines only)` : version
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
