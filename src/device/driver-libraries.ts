/** The driver's libraries that the options or the environment name explicitly. */
import type { NativeGpuLibraries } from '#binding'
import { type Environment, namedFile } from '../base/library-search.ts'
import type { ResolvedCudaOptions } from '../options.ts'

const names = {
  cuda: ['COSMOS_EMBED_CUDA', 'libcuda.so.1'],
  nvcuvid: ['COSMOS_EMBED_NVCUVID', 'libnvcuvid.so.1'],
} as const

/** Contains no entry for a library that the dynamic loader should find. Throws LibraryError if a named file is missing. */
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
