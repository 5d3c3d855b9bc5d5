/** Finds and calls the tool that builds TensorRT engines: `trtexec`, or else TensorRT's Python package. */
import { accessSync, constants } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runChild } from '../base/child-process.ts'
import { type Environment, isFile, notFound } from '../base/library-search.ts'
import { LibraryError } from '../errors.ts'
import { PROFILES, type TowerBuildSpec } from './build-spec.ts'
import type { ShapeRange } from './sidecar.ts'
import type { FoundTensorRt } from './tensorrt-library.ts'

export interface BuildTool {
  kind: 'trtexec' | 'python'
  /** Absolute. */
  program: string
}

export interface BuildCommand {
  build: TowerBuildSpec
  /** Path of the plan to write. */
  plan: string
  timingCache: string
  /** Folder for TensorRT's temporary files. */
  scratch: string
  /** Number of the GPU. */
  device: number
  /** Major version of TensorRT. */
  major: number
}

const optimizationLevel = 3
const script = fileURLToPath(new URL('../../scripts/engine/build.py', import.meta.url))

/** Where to search; defaults to this process's environment. */
export interface BuildToolSearch {
  environment?: Environment
  /** Where NVIDIA's Debian packages install trtexec. */
  packagedTrtexec?: string
}

/**
 * Finds a build tool. An explicit `trtexec` is never replaced by another one. Rejects with LibraryError that lists every
 * place searched, or with `signal.reason`.
 */
export async function findBuildTool(
  {
    trtexec,
    tensorrt,
    signal,
  }: { trtexec?: string | undefined; tensorrt: FoundTensorRt; signal: AbortSignal },
  { environment = process.env, packagedTrtexec = '/usr/src/tensorrt/bin/trtexec' }: BuildToolSearch = {},
): Promise<BuildTool> {
  if (trtexec !== undefined) {
    if (isProgram(trtexec)) return { kind: 'trtexec', program: resolve(trtexec) }
    throw new LibraryError(`trtexec: ${trtexec} is not an executable file`, {
      details: { library: 'trtexec' },
    })
  }
  const folder = dirname(tensorrt.path)
  const root = environment.TENSORRT_ROOT
  const inPath = (name: string) =>
    (environment.PATH ?? '')
      .split(delimiter)
      .filter((entry) => entry !== '')
      .map((entry) => join(entry, name))
  const programs = [
    ...(root ? [join(root, 'bin', 'trtexec')] : []),
    ...inPath('trtexec'),
    packagedTrtexec,
    join(folder, 'trtexec'),
    join(folder, '..', 'bin', 'trtexec'),
  ]
  const found = programs.find(isProgram)
  if (found) return { kind: 'trtexec', program: found }

  // The interpreter of .../lib/python3.11/site-packages/tensorrt_libs is .../bin/python3.
  const pythons = [
    ...(tensorrt.origin === 'python' ? [join(folder, '../../../../bin/python3')] : []),
    ...(environment.VIRTUAL_ENV ? [join(environment.VIRTUAL_ENV, 'bin/python3')] : []),
    ...inPath('python3'),
  ].filter(isProgram)
  for (const python of new Set(pythons)) {
    if (await hasTensorRt(python, buildEnvironment(tensorrt.path, environment), signal))
      return { kind: 'python', program: python }
  }
  throw new LibraryError(
    notFound('a builder of TensorRT engines (trtexec, or Python with TensorRT)', [
      ...(root ? [] : ['TENSORRT_ROOT: not set']),
      ...programs,
      ...pythons.map((python) => `${python}: has no module tensorrt`),
    ]) +
      `Install trtexec of TensorRT ${tensorrt.version} and name it with --trtexec or TENSORRT_ROOT, ` +
      `or "pip install tensorrt==${tensorrt.version}".`,
    { details: { library: 'trtexec' } },
  )
}

/** Arguments for the tool, which is run without a shell. */
export function buildArguments({ kind }: BuildTool, command: BuildCommand): string[] {
  return kind === 'trtexec' ? trtexecArguments(command) : [script, JSON.stringify(pythonRequest(command))]
}

function trtexecArguments({ build, plan, timingCache, scratch, device, major }: BuildCommand): string[] {
  const side = (which: keyof ShapeRange) =>
    Object.entries(build.shapes)
      .map(([name, shape]) => `${name}:${shape[which].join('x')}`)
      .join(',')
  const profile = (index: number) => [
    `--profile=${index}`,
    ...(['min', 'opt', 'max'] as const).map((which) => `--${which}Shapes=${side(which)}`),
  ]
  return [
    `--onnx=${build.onnx}`,
    `--saveEngine=${plan}`,
    // --profile comes before its shapes: trtexec assigns shapes to the profile named last.
    ...(build.isDynamic ? Array.from({ length: PROFILES }, (_, index) => profile(index)).flat() : []),
    ...(major === 10 ? [build.lowerTo === undefined ? '--stronglyTyped' : `--${build.lowerTo}`] : []),
    `--timingCacheFile=${timingCache}`,
    `--builderOptimizationLevel=${optimizationLevel}`,
    `--tempdir=${scratch}`,
    `--device=${device}`,
    '--skipInference',
  ]
}

/** The request that scripts/engine/build.py reads. */
function pythonRequest({ build, plan, timingCache, device }: BuildCommand) {
  return {
    onnx: build.onnx,
    plan,
    profiles: build.isDynamic ? PROFILES : 0,
    shapes: build.shapes,
    lowerTo: build.lowerTo ?? null,
    timingCache,
    optimizationLevel,
    device,
  }
}

/** Environment in which the tool loads the same TensorRT library, `tensorrt`, that will run the engine. */
export function buildEnvironment(
  tensorrt: string,
  environment: Environment = process.env,
): NodeJS.ProcessEnv {
  const folders = [dirname(tensorrt), environment.LD_LIBRARY_PATH]
  return { ...environment, LD_LIBRARY_PATH: folders.filter(Boolean).join(delimiter) }
}

async function hasTensorRt(python: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<boolean> {
  try {
    const { code } = await runChild(python, ['-c', 'import tensorrt'], { env, signal })
    return code === 0
  } catch {
    signal.throwIfAborted()
    return false
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return isFile(path)
  } catch {
    return false
  }
}
