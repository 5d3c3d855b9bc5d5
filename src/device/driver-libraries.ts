/** The driver's libraries, where the caller or the environment names them. */
import type { NativeGpuLibraries } from '#binding'
import { type Environment, namedFile } from '../base/library-search.ts'
import type { ResolvedCudaOptions } from '../options.ts'

const names = {
  cuda: ['COSMOS_EMBED_CUDA', 'libcuda.so.1'],
  nvcuvid: ['COSMOS_EMBED_NVCUVID', 'libnvcuvid.so.1'],
} as const

/** Without what is left to the system's loader. Throws LibraryError where a name is no file. */
export function driverLibraries(
  { libraries }: Pick<ResolvedCudaOptions, 'libraries'>,
  environment: Environment = process.env,
): NativeGpuLibraries {
  const found: NativeGpuLibraries = {}
  for (const library of ['cuda', 'nvcuvid'] as const) {
    const [variable, expected] = names[library]
    const option = `cuda.libraries.${library}`
    const named = namedFile(libraries[library], { option, variable, expected, environment })
    if (named) found[library] = named.path
  }
  return found
}
