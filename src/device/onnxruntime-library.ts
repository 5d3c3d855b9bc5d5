/** Where `libonnxruntime.so.1` is: packed beside the addon, brought by onnxruntime-node, or the system's. */
import { readdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Environment, isFile, loaderFolders, namedFile, notFound } from '../base/library-search.ts'
import { LibraryError } from '../errors.ts'

export interface OnnxRuntimeLibrary {
  /** Absolute. */
  path: string
  /** Which place it was found in, for `info()` and `doctor`. */
  origin: 'option' | 'environment' | 'addon' | 'onnxruntime-node' | 'system'
}

/** What a search looks at; the defaults are this process's. */
export interface OnnxRuntimeSearch {
  environment?: Environment
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
