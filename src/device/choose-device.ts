/** Chooses the device for a model from the options, the GPUs of the machine, and the model's plans, and says why. */
import type { Binding, NativeGpuInfo, NativeGpuLibraries, NativeGpuProbe } from '#binding'
import { runNative } from '../base/native-job.ts'
import { CosmosEmbedError, InvalidArgumentError, LibraryError, ModelError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import { DEFAULT_BATCH, type ResolvedCudaOptions, type ResolvedOptions } from '../options.ts'
import { rejectCpuOnlyGraph } from '../tensorrt/build-spec.ts'
import type { BuildRequest } from '../tensorrt/engine-builder.ts'
import { engineFolders, findPlans, type Plans } from '../tensorrt/plan-files.ts'
import { type FoundTensorRt, findTensorRt } from '../tensorrt/tensorrt-library.ts'
import { driverLibraries } from './driver-libraries.ts'

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

async function chooseCuda(parts: ChoiceOptions): Promise<CudaChoice> {
  const { binding, options, signal } = parts
  const { device, cuda } = options
  const libraries = driverLibraries(cuda)
  const probe = await probeGpus(binding, libraries, signal)
  const gpus = selectGpus(probe, cuda.devices)
  const tensorrt = await findUsableTensorRt(binding, cuda, signal)
  // One after another, so that the second of two equal GPUs finds the plan that was built for the first.
  const chosen: CudaChoice['gpus'] = []
  for (const gpu of gpus) {
    const request = buildRequestFor(gpu, { driver: probe.driver.version, libraries, tensorrt }, parts)
    chosen.push({ gpu, plans: await findOrBuildPlans(request, parts) })
  }
  const names = gpus.map(({ device: at, name }) => `${name} (GPU ${at})`).join(', ')
  const found = `${names}, with TensorRT ${tensorrt.version} and a driver for CUDA ${probe.driver.version}`
  return {
    kind: 'cuda',
    reason:
      device === 'cuda'
        ? `asked for by the option device: "cuda": ${found}`
        : `device: "auto" found ${found}`,
    libraries,
    driver: probe.driver,
    tensorrt,
    gpus: chosen,
  }
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

/**
 * The GPUs that the option names. Throws InvalidArgumentError for one that does not exist, and LibraryError if they differ in
 * compute capability.
 */
export function selectGpus(
  { devices }: NativeGpuProbe,
  wanted: ResolvedCudaOptions['devices'],
): NativeGpuInfo[] {
  const gpus =
    wanted === 'all'
      ? devices
      : wanted.map((number) => {
          const gpu = devices.find(({ device }) => device === number)
          if (gpu) return gpu
          throw new InvalidArgumentError(
            `cuda.devices: there is no GPU ${number}, this process sees ${devices.map(({ device }) => device).join(', ')}`,
            { details: { field: 'cuda.devices', value: number } },
          )
        })
  const [first] = gpus
  const other = gpus.find(({ computeCapability }) => computeCapability !== first?.computeCapability)
  if (!first || !other) return gpus
  throw new LibraryError(
    `GPU ${first.device} (${first.name}) has compute capability ${first.computeCapability} and GPU ${other.device} ` +
      `(${other.name}) has ${other.computeCapability}: TensorRT cannot serve both in one process. ` +
      'Start one process per kind of GPU, each with its own cuda.devices or CUDA_VISIBLE_DEVICES',
  )
}

/** Finds TensorRT and reads its version. Rejects with LibraryError if there is none that this version supports. */
export async function findUsableTensorRt(
  binding: Binding,
  { libraries, hostCode }: ResolvedCudaOptions,
  signal: AbortSignal,
): Promise<FoundTensorRt> {
  const library = findTensorRt({ path: libraries.tensorrt, allowLean: hostCode })
  return { ...library, ...(await runNative(() => binding.probeTensorRt(library.path), signal)) }
}

/** The search for plans for this GPU, and the build of those that are missing. */
export function buildRequestFor(
  gpu: NativeGpuInfo,
  found: Pick<BuildRequest, 'driver' | 'libraries' | 'tensorrt'>,
  { options, bundle, signal }: Pick<ChoiceOptions, 'options' | 'bundle' | 'signal'>,
): BuildRequest {
  const { cuda, batching } = options
  const { precision, engineBatch, hostCode } = cuda
  return {
    ...found,
    bundle,
    gpu,
    folders: engineFolders(bundle, cuda.engineCache),
    wanted: { precision, maxBatch: engineBatch, hostCode },
    sizes: { video: engineBatch ?? batching.maxVideoBatch ?? DEFAULT_BATCH, text: batching.maxTextBatch },
    onLine: cuda.onBuild ?? (() => {}),
    signal,
  }
}

async function findOrBuildPlans(
  request: BuildRequest,
  { options, buildEngines }: ChoiceOptions,
): Promise<Plans> {
  const { cuda, device } = options
  const { bundle, gpu } = request
  const { plans, missing } = await findPlans(request)
  if (plans) return plans
  for (const { path } of [bundle.files.video, bundle.files.text]) rejectCpuOnlyGraph(path)
  const command = buildCommand(bundle, cuda, gpu.device)
  if (device === 'auto' || cuda.buildEngine === 'never') {
    throw new ModelError(`${missing}. Build what fits this machine with: ${command}`, {
      details: { command },
    })
  }
  const say = cuda.onBuild ?? warn
  say(`${missing}. Building for GPU ${gpu.device} (${gpu.name}), which takes minutes`)
  return await buildEngines(request)
}

/** The shell command that builds the engines for this GPU. */
export function buildCommand(
  { directory }: ModelBundle,
  { engineCache, precision, engineBatch }: ResolvedCudaOptions,
  device: number,
): string {
  const words = [
    ...['cosmos-embed', 'build-engine', '--model', directory, '--device', `${device}`],
    ...(precision === undefined ? [] : ['--precision', precision]),
    ...(engineBatch === undefined ? [] : ['--max-batch', `${engineBatch}`]),
    ...(engineCache === undefined ? [] : ['--out', engineCache]),
  ]
  return words
    .map((word) => (/^[\w./@:=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
}

function warn(line: string): void {
  process.emitWarning(`cosmos-embed: ${line}`)
}
