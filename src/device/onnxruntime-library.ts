/** Finds `libonnxruntime.so.1`: named explicitly, packed beside the addon, in onnxruntime-node, or in the system. */
import { readdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Environment, isFile, loaderFolders, namedFile, notFound } from '../base/library-search.ts'
import { LibraryError } from '../errors.ts'

export interface OnnxRuntimeLibrary {
  /** Absolute. */
  path: string
  /** How it was found, for `info()` and `doctor`. */
  origin: 'option' | 'environment' | 'addon' | 'onnxruntime-node' | 'system'
}

/** Where to search; defaults to this process's environment. */
export interface OnnxRuntimeSearch {
  environment?: Environment
  /** Folder of cosmos-embed's package.json. */
  packageRoot?: string
  workingDirectory?: string
  /** The dynamic loader's folders, in search order. */
  systemFolders?: readonly string[]
}

const fileName = 'libonnxruntime.so.1'
const variable = 'COSMOS_EMBED_ONNXRUNTIME'

/**
 * Finds the library. A file named by `path` or COSMOS_EMBED_ONNXRUNTIME is never replaced by another one. Throws
 * LibraryError that lists every place searched.
 */
export function findOnnxRuntime(
  { path }: { path?: string | undefined } = {},
  {
    environment = process.env,
    packageRoot = fileURLToPath(new URL('../../', import.meta.url)),
    workingDirectory = process.cwd(),
    systemFolders = loaderFolders(environment),
  }: OnnxRuntimeSearch = {},
): OnnxRuntimeLibrary {
  const named = namedFile(path, { option: 'onnxruntime.library', variable, expected: fileName, environment })
  if (named) return named

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
    notFound(`ONNX Runtime (${fileName})`, places) +
      `Install it with "npm install onnxruntime-node --ignore-scripts", or set ${variable} to the file.`,
    { details: { library: fileName } },
  )
}

/** Resolves the package from a folder as Node would, without loading it. Empty if it is not installed. */
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
