/** Builds a model's TensorRT engines in a child process, tries them in another one, and publishes only plans that work. */
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { NativeGpuInfo, NativeGpuLibraries } from '#binding'
import { runChild } from '../base/child-process.ts'
import { sha256OfFiles } from '../base/file-hash.ts'
import { locateInside } from '../base/located-file.ts'
import { EngineError, LibraryError, ModelError } from '../errors.ts'
import { loadTokenizer } from '../tokenizer/tokenizer.ts'
import { lockFolder } from './build-lock.ts'
import { PROFILES, specifyBuild, type TowerBuildSpec } from './build-spec.ts'
import { type BuildTool, buildArguments, buildEnvironment, findBuildTool } from './build-tool.ts'
import { findPlan, findPlans, onnxHashes, type PlanSearch, type Plans, platform } from './plan-files.ts'
import { isVersionOf, planVersion } from './plan-header.ts'
import { SIDECAR_FORMAT, type Sidecar, TOWERS, type Tower } from './sidecar.ts'
import type { FoundTensorRt } from './tensorrt-library.ts'
import { type PlanTrial, tryPlans } from './try-plans.ts'

export interface BuildRequest extends PlanSearch {
  /** Folders searched for existing plans. New plans are written to the first one. */
  readonly folders: readonly string[]
  readonly gpu: NativeGpuInfo
  readonly tensorrt: FoundTensorRt
  readonly libraries: NativeGpuLibraries
  /** Rows of the largest batch of a new engine. */
  readonly sizes: Readonly<Record<Tower, number>>
  /** Path of trtexec. Default: searched. */
  readonly trtexec?: string | undefined
  /** Rebuild plans that already fit. Default false. */
  readonly force?: boolean | undefined
  readonly onLine: (line: string) => void
  readonly signal: AbortSignal
}

export interface BuilderDependencies {
  tryPlans: (trial: PlanTrial, signal: AbortSignal) => Promise<void>
}

/** Prefix of the scratch folders of this machine's builds. */
const scratchPrefix = `.building-${hostname()}-`

/**
 * Builds the plans that are missing in `request.folders`, or all of them with `force`. A failed or cancelled build leaves
 * nothing behind. Rejects with ModelError (graphs, folder), LibraryError (TensorRT, tools), EngineError (the build, or the
 * trial of what was built), or with `signal.reason`.
 */
export async function buildEngines(
  request: BuildRequest,
  dependencies: BuilderDependencies = { tryPlans },
): Promise<Plans> {
  const { tensorrt, signal, onLine } = request
  if (tensorrt.lean) {
    throw new LibraryError(
      `${tensorrt.path} is TensorRT's lean runtime, which cannot build engines: install all of TensorRT ${tensorrt.version}`,
      { details: { library: tensorrt.path } },
    )
  }
  const folder = await makeFolder(resolve(request.folders[0] as string))
  const unlock = await lockFolder(folder, {
    signal,
    onWait: () => onLine(`another process builds in ${folder}: waiting for it`),
  })
  try {
    for (const name of await readdir(folder)) {
      if (name.startsWith(scratchPrefix)) await rm(join(folder, name), { recursive: true, force: true })
    }
    const missing = await towersToBuild(request)
    if (missing.length > 0) await build(request, missing, folder, dependencies)
  } catch (error) {
    // Errors of the file system, e.g. a full disk, have `syscall`.
    throw (error as NodeJS.ErrnoException | null)?.syscall === undefined ? error : notWritable(folder, error)
  } finally {
    await unlock()
  }
  const { plans, missing } = await findPlans(request)
  if (plans) return plans
  throw new EngineError(`${missing}, although it was just built: this is a bug`)
}

async function towersToBuild(request: BuildRequest): Promise<Tower[]> {
  if (request.force) return [...TOWERS]
  const found = await Promise.all(TOWERS.map((tower) => findPlan(tower, request)))
  return TOWERS.filter((_, i) => !found[i]?.plan)
}

async function build(
  request: BuildRequest,
  towers: readonly Tower[],
  folder: string,
  dependencies: BuilderDependencies,
): Promise<void> {
  const { bundle, tensorrt, sizes, wanted, signal } = request
  const major = Number.parseInt(tensorrt.version, 10)
  const builds = towers.map((tower) =>
    specifyBuild(bundle, tower, { precision: wanted.precision, maxBatch: sizes[tower], major }),
  )
  const video = builds.find(({ tower }) => tower === 'video')
  if (video && wanted.maxBatch !== undefined && video.maxBatch < wanted.maxBatch) {
    throw new ModelError(
      `the video graph ${video.onnx} takes batches of ${video.maxBatch}, but batches of ${wanted.maxBatch} are required`,
    )
  }
  const tool = await findBuildTool(request)
  const scratch = await mkdtemp(join(folder, scratchPrefix))
  try {
    // The timing cache is kept between builds. A build works on a copy, so that it is never left incomplete.
    // One file per GPU name: trtexec would accept the timings of any GPU with the same compute capability.
    const gpuName = request.gpu.name.replaceAll(/[^\w]+/g, '-')
    const timings = join(folder, `timings.${gpuName}.trt${tensorrt.version}.cache`)
    const workspace = { tool, major, scratch, timingCache: join(scratch, 'timings.cache') }
    await copyFile(timings, workspace.timingCache).catch(() => {})
    const plans = new Map<Tower, string>()
    for (const spec of builds) plans.set(spec.tower, await buildTower(request, spec, workspace))
    await tryAll(request, plans, dependencies)
    for (const spec of builds) {
      signal.throwIfAborted()
      await publish(request, spec, { tool, folder, plan: plans.get(spec.tower) as string })
    }
    // Last, when a full disk would have failed the build already: a broken timing cache fails every later build.
    await rename(workspace.timingCache, timings).catch(() => {})
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

interface BuildWorkspace {
  tool: BuildTool
  major: number
  scratch: string
  timingCache: string
}

/** @returns the path of the plan. */
async function buildTower(
  { tensorrt, gpu, onLine, signal }: BuildRequest,
  build: TowerBuildSpec,
  { tool, major, scratch, timingCache }: BuildWorkspace,
): Promise<string> {
  const { tower, precision, maxBatch } = build
  const plan = join(scratch, `${tower}.plan`)
  onLine(`building the ${tower} engine in ${precision} for batches up to ${maxBatch} with ${tool.program}`)
  const args = buildArguments(tool, { build, plan, timingCache, scratch, device: gpu.device, major })
  const { code, how, lines } = await runChild(tool.program, args, {
    cwd: scratch,
    env: buildEnvironment(tensorrt.path),
    onLine,
    signal,
  }).catch((cause: NodeJS.ErrnoException) => {
    if (signal.aborted) throw signal.reason
    throw new LibraryError(`${tool.program} cannot be run (${cause.code ?? cause.message})`, { cause })
  })
  const bytes =
    code === 0
      ? await stat(plan).then(
          ({ size }) => size,
          () => 0,
        )
      : 0
  if (bytes === 0) {
    throw new EngineError(
      `the ${tower} engine could not be built: ${tool.program} ${how}${code === 0 ? ' and wrote no plan' : ''}. Its last lines:\n` +
        lines.map((line) => `  ${line}`).join('\n'),
      { details: { tower } },
    )
  }
  const version = await planVersion(plan)
  if (version !== undefined && !isVersionOf(version, tensorrt.version)) {
    throw new LibraryError(
      `${tool.program} builds for TensorRT ${version}, but the library ${tensorrt.path} is ${tensorrt.version}: ` +
        'use both of one installation (--trtexec, COSMOS_EMBED_TENSORRT)',
      { details: { library: tensorrt.path } },
    )
  }
  return plan
}

/** Tries both engines together, as a model runs them; a tower that was not rebuilt uses its existing plan. */
async function tryAll(
  request: BuildRequest,
  built: ReadonlyMap<Tower, string>,
  { tryPlans }: BuilderDependencies,
): Promise<void> {
  const { bundle, tensorrt, gpu, libraries, wanted, onLine, signal } = request
  const pathOf = async (tower: Tower) => built.get(tower) ?? (await findPlan(tower, request)).plan?.path ?? ''
  onLine(`trying the ${[...built.keys()].join(' and ')} engine in a process of its own`)
  const { frames, height, width, embeddingDim, files, maxTextTokens } = bundle
  const { padTokenId } = await loadTokenizer(files.tokenizer.path, maxTextTokens)
  const engine = {
    backend: 'tensorrt' as const,
    library: tensorrt.path,
    video: await pathOf('video'),
    text: await pathOf('text'),
    ...{ frames, height, width, embeddingDim, padTokenId },
    hostCode: wanted.hostCode,
  }
  await tryPlans({ device: gpu.device, libraries, engine }, signal)
}

/** Moves a plan and its sidecar into the folder. The sidecar comes last: a plan without one is not used. */
async function publish(
  request: BuildRequest,
  { tower, precision, maxBatch, shapes, isDynamic }: TowerBuildSpec,
  { tool, folder, plan }: { tool: BuildTool; folder: string; plan: string },
): Promise<void> {
  const { bundle, gpu, tensorrt, driver, onLine, signal } = request
  await chmod(plan, 0o644)
  const scratch = join(plan, '..')
  const located = await locateInside(scratch, `${tower}.plan`, { what: 'plan', folder: 'the folder' })
  const [sha256 = ''] = await sha256OfFiles([located], signal)
  const name = `${tower}.sm${digits(gpu)}.trt${tensorrt.version}.${precision}.b${maxBatch}.plan`
  const sidecar: Sidecar = {
    formatVersion: SIDECAR_FORMAT,
    tower,
    platform,
    tensorrt: tensorrt.version,
    computeCapability: gpu.computeCapability,
    gpu: gpu.name,
    driver,
    precision,
    maxBatch,
    profiles: Array.from({ length: isDynamic ? PROFILES : 1 }, () => shapes),
    hostCode: false,
    onnx: onnxHashes(bundle, tower),
    plan: { file: name, sha256, bytes: Number(located.size) },
    built: { at: new Date().toISOString(), by: tool.kind },
  }
  const sidecarFile = `${plan}.json`
  await writeFile(sidecarFile, `${JSON.stringify(sidecar, null, 2)}\n`, { mode: 0o644 })
  for (const file of [plan, sidecarFile]) await sync(file)
  await rm(join(folder, `${name}.json`), { force: true })
  await rename(plan, join(folder, name))
  await rename(sidecarFile, join(folder, `${name}.json`))
  await sync(folder)
  onLine(`wrote ${join(folder, name)}, ${(sidecar.plan.bytes / 2 ** 20).toFixed(1)} MiB`)
}

async function makeFolder(path: string): Promise<string> {
  try {
    await makeFolders(path)
    const folder = await realpath(path)
    // The only reliable check for write access is to write.
    await rm(await mkdtemp(join(folder, scratchPrefix)), { recursive: true, force: true })
    return folder
  } catch (cause) {
    throw notWritable(path, cause)
  }
}

/** Replaces mkdir's `recursive`, which never returns below a folder such as /proc. */
async function makeFolders(path: string): Promise<void> {
  const make = () =>
    mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  await make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolders(dirname(path))
    await make()
  })
}

function notWritable(path: string, cause: unknown): ModelError {
  const { code } = cause as NodeJS.ErrnoException
  return new ModelError(
    `engines cannot be written to ${path} (${code ?? 'unknown reason'}): name another folder with cuda.engineCache, ` +
      'or build-engine --out',
    { cause },
  )
}

async function sync(path: string): Promise<void> {
  await using file = await open(path)
  await file.sync()
}

function digits({ computeCapability }: NativeGpuInfo): string {
  return computeCapability.replace('.', '')
}
