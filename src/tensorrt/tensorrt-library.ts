/** Finds the TensorRT library: named explicitly, in TENSORRT_ROOT, in Python packages, or in the system. */
import { readdirSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { type Environment, isFile, loaderFolders, namedFile, notFound } from '../base/library-search.ts'
import { LibraryError } from '../errors.ts'

export interface TensorRtLibrary {
  /** Absolute. */
  path: string
  /** How it was found, for `info()` and `doctor`. */
  origin: 'option' | 'environment' | 'TENSORRT_ROOT' | 'python' | 'system'
}

/** A library that was opened once to read its version. */
export interface FoundTensorRt extends TensorRtLibrary {
  /** Full version, e.g. "10.16.1.11". */
  version: string
  /** Whether it is a lean or dispatch runtime, which runs only version-compatible plans and builds none. */
  lean: boolean
}

/** Where to search; defaults to this process's environment. */
export interface TensorRtSearch {
  environment?: Environment
  /** Python's package folders, in search order. */
  sitePackages?: readonly string[]
  /** The dynamic loader's folders, in search order. */
  systemFolders?: readonly string[]
}

const variable = 'COSMOS_EMBED_TENSORRT'
/** In order of preference. File names without a major version are for compilers and may be any version. */
const majors = [11, 10] as const
const full = majors.map((major) => `libnvinfer.so.${major}`)
const lean = majors.map((major) => `libnvinfer_lean.so.${major}`)
const expected = full.join(' or ')

/**
 * Finds the library. An explicitly named file is never replaced by another one. With `allowLean`, a lean runtime is used if
 * there is no full one: it runs only version-compatible plans. Throws LibraryError that lists every place searched.
 */
export function findTensorRt(
  { path, allowLean = false }: { path?: string | undefined; allowLean?: boolean } = {},
  {
    environment = process.env,
    sitePackages = pythonFolders(environment),
    systemFolders = loaderFolders(environment),
  }: TensorRtSearch = {},
): TensorRtLibrary {
  const named = namedFile(path, { option: 'cuda.libraries.tensorrt', variable, expected, environment })
  if (named) return named

  const root = environment.TENSORRT_ROOT
  const places: [TensorRtLibrary['origin'], (names: readonly string[]) => string[]][] = [
    ['TENSORRT_ROOT', (names) => (root ? names.map((name) => join(root, 'lib', name)) : [])],
    [
      'python',
      (names) =>
        sitePackages.flatMap((folder) =>
          names.map((name) =>
            join(folder, name.includes('_lean') ? 'tensorrt_lean_libs' : 'tensorrt_libs', name),
          ),
        ),
    ],
    ['system', (names) => systemFolders.flatMap((folder) => names.map((name) => join(folder, name)))],
  ]
  for (const names of allowLean ? [full, lean] : [full]) {
    for (const [origin, filesOf] of places) {
      const found = filesOf(names).find(isFile)
      if (found) return { path: realpathSync(found), origin }
    }
  }
  const searched = [
    `${variable}: not set`,
    root ? join(root, 'lib') : 'TENSORRT_ROOT: not set',
    ...(sitePackages.length > 0
      ? sitePackages.map((folder) => join(folder, 'tensorrt_libs'))
      : ['Python packages: none are installed']),
    ...systemFolders,
  ]
  throw new LibraryError(
    notFound(`TensorRT (${expected})`, searched) +
      'Install TensorRT 10.1 or newer, or 11, for your CUDA, from https://developer.nvidia.com/tensorrt, and set TENSORRT_ROOT to its ' +
      `folder, or install it with "pip install tensorrt", or set ${variable} to the file.`,
    { details: { library: full[0] as string } },
  )
}

/** Package folders of the active environment, the interpreters on PATH, the user, and the system. */
function pythonFolders(environment: Environment): string[] {
  const { VIRTUAL_ENV, CONDA_PREFIX, HOME = homedir() } = environment
  const roots = [
    ...[VIRTUAL_ENV, CONDA_PREFIX],
    ...pythonRoots(environment),
    ...[join(HOME, '.local'), '/usr/local', '/usr'],
  ]
  return [...new Set(roots)].flatMap((root) => {
    if (!root) return []
    return ['lib', 'lib64'].flatMap((lib) =>
      entriesOf(join(root, lib))
        .filter((name) => /^python3(\.\d+)?$/.test(name))
        .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
        .flatMap((python) => ['site-packages', 'dist-packages'].map((kind) => join(root, lib, python, kind)))
        .filter((folder) => entriesOf(folder).length > 0),
    )
  })
}

/** Roots of the interpreters on PATH: of each virtual environment, and of the interpreter that it links to. */
function pythonRoots({ PATH = '' }: Environment): string[] {
  return PATH.split(delimiter).flatMap((folder) => {
    const program = join(folder, 'python3')
    if (!isAbsolute(folder) || !isFile(program)) return []
    return [program, realpathSync(program)].map((file) => dirname(dirname(file)))
  })
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
