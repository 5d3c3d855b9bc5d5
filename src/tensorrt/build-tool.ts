/** What builds TensorRT engines: `trtexec`, or else TensorRT's Python package. */
import { accessSync, constants } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LibraryError } from '../errors.ts'
import { PROFILES, type TowerBuildSpec } from './build-spec.ts'
import { runChild } from '../base/child-process.ts'
import { type Environment, isFile, notFound } from '../base/library-search.ts'
import type { ShapeRange } from './sidecar.ts'
import type { FoundTensorRt } from './tensorrt-library.ts'

export interface BuildTool {
  kind: 'trtexec' | 'python'
  /** Absolute. */
  program: string
}

export interface BuildCommand {
  build: TowerBuildSpec
  /** Where the plan goes. */
  plan: string
  timingCache: string
  /** For TensorRT's own temporary files. */
  scratch: string
  device: number
  /** Of TensorRT. */
  major: number
}

const optimizationLevel = 3
const script = fileURLToPath(new URL('../../scripts/engine/build.py', import.meta.url))

export interface BuildToolSearch {
  environment?: Environment
  /** Where Debian's packages put it. */
  packagedTrtexec?: string
}

/**
 * Throws LibraryError that lists every place looked at. A named trtexec is meant: when it is wrong, nothing else is
 * tried. Rejects with `signal.reason`.
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
    throw new LibraryError(`trtexec: ${trtexec} is no program that can be run`, {
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

  // Beside .../lib/python3.11/site-packages/tensorrt_libs is the interpreter .../bin/python3.
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

/** Arguments for the tool. No shell reads them. */
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
    // The flag before its shapes: they belong to the profile that was named last.
    ...(build.isDynamic ? Array.from({ length: PROFILES }, (_, index) => profile(index)).flat() : []),
    ...(major === 10 ? [build.lowerTo === undefined ? '--stronglyTyped' : `--${build.lowerTo}`] : []),
    `--timingCacheFile=${timingCache}`,
    `--builderOptimizationLevel=${optimizationLevel}`,
    `--tempdir=${scratch}`,
    `--device=${device}`,
    '--skipInference',
  ]
}

/** What scripts/engine/build.py takes. */
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

/** What a tool is run in, so that it loads the TensorRT that will run the engine. `tensorrt` is that library's path. */
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
