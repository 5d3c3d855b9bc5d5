/** Where TensorRT is: named, in TENSORRT_ROOT, brought by Python packages, or the system's. */
import { readdirSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { LibraryError } from '../errors.ts'
import { type Environment, isFile, loaderFolders, namedFile, notFound } from '../base/library-search.ts'

export interface TensorRtLibrary {
  /** Absolute. */
  path: string
  /** Which place it was found in, for `info()` and `doctor`. */
  origin: 'option' | 'environment' | 'TENSORRT_ROOT' | 'python' | 'system'
}

/** The same after it was opened. */
export interface FoundTensorRt extends TensorRtLibrary {
  /** All of its numbers, e.g. "10.16.1.11". */
  version: string
  /** A lean or dispatch runtime: it runs version-compatible engines only, and builds none. */
  lean: boolean
}

export interface TensorRtSearch {
  environment?: Environment
  /** Folders that hold Python's packages, in the order they are looked at. */
  sitePackages?: readonly string[]
  /** Folders of the system's loader, in its order. */
  systemFolders?: readonly string[]
}

const variable = 'COSMOS_EMBED_TENSORRT'
/** The newer major first. A file name without its major is for compilers, and may be anything. */
const majors = [11, 10] as const
const full = majors.map((major) => `libnvinfer.so.${major}`)
const lean = majors.map((major) => `libnvinfer_lean.so.${major}`)
const expected = full.join(' or ')

/**
 * Throws LibraryError that lists every place looked at. A named file is meant: when it is wrong, nothing else is tried.
 * `lean` runtimes run version-compatible engines only, so they are looked for when such are allowed, and taken when
 * there is no full one.
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
  const lookedAt = [
    `${variable}: not set`,
    root ? join(root, 'lib') : 'TENSORRT_ROOT: not set',
    ...(sitePackages.length > 0
      ? sitePackages.map((folder) => join(folder, 'tensorrt_libs'))
      : ['Python packages: none are installed']),
    ...systemFolders,
  ]
  throw new LibraryError(
    notFound(`TensorRT (${expected})`, lookedAt) +
      'Install TensorRT 10 or 11 for your CUDA, from https://developer.nvidia.com/tensorrt, and set TENSORRT_ROOT to its ' +
      `folder, or install it with "pip install tensorrt", or set ${variable} to the file.`,
    { details: { library: full[0] as string } },
  )
}

/** Of the active environment, of the interpreters on PATH, of the user, of the system. */
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

/** Above each bin/python3: where a virtual environment is, and then where the interpreter that it links to is. */
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
