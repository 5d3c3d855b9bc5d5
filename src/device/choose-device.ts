/** Chooses the device for a model from the options, the GPUs of the machine, and the model's plans, and says why. */
import type { Binding, NativeGpuInfo, NativeGpuLibraries, NativeGpuProbe } from '#binding'
import { runNative } from '../base/native-job.ts'
import { CosmosEmbedError, LibraryError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import type { ResolvedOptions } from '../options.ts'
import type { BuildRequest } from '../tensorrt/engine-builder.ts'
import type { Plans } from '../tensorrt/plan-files.ts'
import type { FoundTensorRt } from '../tensorrt/tensorrt-library.ts'
import { driverLibraries } from './driver-libraries.ts'
import { warn } from './warn.ts'

export interface CpuChoice {
  kind: 'cpu'
  reason: string
}

export interface CudaChoice {
  kind: 'cuda'
  reason: string
  libraries: NativeGpuLibraries
  driver: NativeGpuProbe['driver']
  tensorrt: FoundTensorRt
  gpus: { gpu: NativeGpuInfo; plans: Plans }[]
}

export type DeviceChoice = CpuChoice | CudaChoice

/** Builds missing plans. Rejects as `buildEngines` of tensorrt/engine-builder.ts does. */
export type BuildEngines = (request: BuildRequest) => Promise<Plans>

export interface ChoiceOptions {
  binding: Binding
  options: ResolvedOptions
  bundle: ModelBundle
  buildEngines: BuildEngines
  signal: AbortSignal
}

/**
 * Chooses the device. With `device: "cuda"`, rejects if CUDA cannot be used. With "auto", the same error becomes the reason
 * for the CPU, and a process warning if the machine has a GPU.
 */
export async function chooseDevice(parts: ChoiceOptions): Promise<DeviceChoice> {
  const { device } = parts.options
  if (device === 'cpu') return { kind: 'cpu', reason: 'asked for by the option device: "cpu"' }
  try {
    return await chooseCuda(parts)
  } catch (error) {
    if (device === 'cuda' || !(error instanceof CosmosEmbedError)) throw error
    return fallBackToCpu(error, { gpu: await hasGpu(parts) })
  }
}

/** The CPU instead of CUDA. Warns if there is a GPU, which would stay idle. */
export function fallBackToCpu(error: CosmosEmbedError, { gpu }: { gpu: boolean }): CpuChoice {
  const reason = fallbackReason(error)
  if (gpu) warn(reason)
  return { kind: 'cpu', reason }
}

async function hasGpu({ binding, options, signal }: ChoiceOptions): Promise<boolean> {
  try {
    return (await probeGpus(binding, driverLibraries(options.cuda), signal)).devices.length > 0
  } catch {
    return false
  }
}

/** The reason in one line. */
function fallbackReason(error: CosmosEmbedError): string {
  const [first = '', ...more] = error.message.split('\n')
  const rest = more.length > 0 ? ' ("cosmos-embed doctor" shows everything that was tried)' : ''
  return `device: "auto" took the CPU: ${first}${rest}`
}

/** The rest of the choice is loaded only on machines with a GPU. */
async function chooseCuda(parts: ChoiceOptions): Promise<CudaChoice> {
  const { binding, options, signal } = parts
  const libraries = driverLibraries(options.cuda)
  const probe = await probeGpus(binding, libraries, signal)
  const { chooseGpus } = await import('./choose-gpus.ts')
  return await chooseGpus(probe, libraries, parts)
}

/** Rejects with LibraryError when there is no driver or no GPU. */
export async function probeGpus(
  binding: Binding,
  libraries: NativeGpuLibraries,
  signal: AbortSignal,
): Promise<NativeGpuProbe> {
  const visible = process.env.CUDA_VISIBLE_DEVICES
  const why =
    visible === undefined
      ? ". A GPU needs NVIDIA's driver, and in a container the NVIDIA container toolkit (--gpus all)"
      : ` (CUDA_VISIBLE_DEVICES is "${visible}")`
  let probe: NativeGpuProbe
  try {
    probe = await runNative(() => binding.probeGpu(libraries), signal)
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error
    throw new LibraryError(`${error.message}${why}`, { details: error.details, cause: error })
  }
  if (probe.devices.length > 0) return probe
  throw new LibraryError(`the NVIDIA driver shows this process no GPU${why}`, {
    details: { library: probe.driver.library },
  })
}
