/** Where `libonnxruntime.so.1` is: packed beside the addon, brought by onnxruntime-node, or the system's. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LibraryError } from '../errors.ts'

export interface OnnxRuntimeLibrary {
  /** Absolute. */
  path: string
  /** Which place it was found in, for `info()` and `doctor`. */
  origin: 'option' | 'environment' | 'addon' | 'onnxruntime-node' | 'system'
}

/** What a search looks at; the defaults are this process's. */
export interface Surroundings {
  environment?: Readonly<Record<string, string | undefined>>
  /** Folder of cosmos-embed's package.json. */
  packageRoot?: string
  workingDirectory?: string
  /** Folders of the system's loader, in its order. */
  systemFolders?: readonly string[]
}

const fileName = 'libonnxruntime.so.1'
const variable = 'COSMOS_EMBED_ONNXRUNTIME'

/**
 * Throws LibraryError that lists every place looked at.
 * An explicit path or COSMOS_EMBED_ONNXRUNTIME is meant: when it is wrong, nothing else is tried.
 */
export function findOnnxRuntime(
  { path }: { path?: string | undefined } = {},
  {
    environment = process.env,
    packageRoot = fileURLToPath(new URL('../../', import.meta.url)),
    workingDirectory = process.cwd(),
    systemFolders = loaderFolders(environment),
  }: Surroundings = {},
): OnnxRuntimeLibrary {
  if (path !== undefined) return explicit(path, 'option', 'the option `onnxruntime.library`')
  const fromEnvironment = environment[variable]
  if (fromEnvironment) return explicit(fromEnvironment, 'environment', variable)

  const beside = [`prebuilds/${process.platform}-${process.arch}`, 'build/Release'].map((folder) =>
    join(packageRoot, folder, fileName),
  )
  const packed = beside.find(isFile)
  if (packed) return { path: realpathSync(packed), origin: 'addon' }

  const packages = [packageRoot, workingDirectory].map(filesOfOnnxRuntimeNode)
  const installed = packages.flat().find(isFile)
  if (installed) return { path: realpathSync(installed), origin: 'onnxruntime-node' }

  const system = systemFolders.map((folder) => join(folder, fileName)).find(isFile)
  if (system) return { path: realpathSync(system), origin: 'system' }

  const places = [
    `${variable}: not set`,
    ...beside,
    `onnxruntime-node, from ${packageRoot} and ${workingDirectory}: ${packages.flat().length > 0 ? 'has no library for this machine' : 'not installed'}`,
    ...systemFolders.map((folder) => join(folder, fileName)),
  ]
  throw new LibraryError(
    `ONNX Runtime (${fileName}) was not found. Looked at:\n${places.map((place) => `  ${place}`).join('\n')}\n` +
      `Install it with "npm install onnxruntime-node --ignore-scripts", or set ${variable} to the file.`,
    { details: { library: fileName } },
  )
}

function explicit(path: string, origin: 'option' | 'environment', what: string): OnnxRuntimeLibrary {
  if (isFile(path)) return { path: resolve(path), origin }
  throw new LibraryError(`${what} says ${path}, which is no file: expected the path of ${fileName}`, {
    details: { library: fileName },
  })
}

/** Resolved from a folder as Node would, without loading the package. Empty when it is not installed. */
function filesOfOnnxRuntimeNode(from: string): string[] {
  try {
    const manifest = createRequire(join(from, 'package.json')).resolve('onnxruntime-node/package.json')
    const bin = join(dirname(manifest), 'bin')
    return readdirSync(bin)
      .filter((folder) => folder.startsWith('napi-v'))
      .map((folder) => join(bin, folder, process.platform, process.arch, fileName))
  } catch {
    return []
  }
}

/** Where the dynamic loader would look: LD_LIBRARY_PATH, /etc/ld.so.conf, its built-in folders. */
function loaderFolders(environment: Readonly<Record<string, string | undefined>>): string[] {
  const triplets: Partial<Record<NodeJS.Architecture, string>> = {
    x64: 'x86_64-linux-gnu',
    arm64: 'aarch64-linux-gnu',
  }
  const triplet = triplets[process.arch]
  const builtIn = [
    '/usr/local/lib',
    ...(triplet ? [`/lib/${triplet}`, `/usr/lib/${triplet}`] : []),
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
  ]
  const fromVariable = environment.LD_LIBRARY_PATH?.split(':').filter((folder) => folder !== '') ?? []
  return [...new Set([...fromVariable, ...configuredFolders(), ...builtIn])]
}

function configuredFolders(): string[] {
  const folder = '/etc/ld.so.conf.d'
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith('.conf'))
      .sort()
      .flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'))
      .map((line) => line.trim())
      .filter((line) => line.startsWith('/'))
  } catch {
    return []
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    return false
  }
}
