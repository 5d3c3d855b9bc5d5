/** Chooses the GPUs for a model, with the TensorRT and the plans that they use. */
import type { Binding, NativeGpuInfo, NativeGpuLibraries, NativeGpuProbe } from '#binding'
import { runNative } from '../base/native-job.ts'
import { InvalidArgumentError, LibraryError, ModelError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import { DEFAULT_BATCH, type ResolvedCudaOptions } from '../options.ts'
import { rejectCpuOnlyGraph } from '../tensorrt/build-spec.ts'
import type { BuildRequest } from '../tensorrt/engine-builder.ts'
import { engineFolders, findPlans, type Plans } from '../tensorrt/plan-files.ts'
import { type FoundTensorRt, findTensorRt } from '../tensorrt/tensorrt-library.ts'
import type { ChoiceOptions, CudaChoice } from './choose-device.ts'
import { warn } from './warn.ts'

/** Chooses among the GPUs of `probe`. Rejects if TensorRT or plans are missing and may not be built. */
export async function chooseGpus(
  probe: NativeGpuProbe,
  libraries: NativeGpuLibraries,
  parts: ChoiceOptions,
): Promise<CudaChoice> {
  const { binding, options, signal } = parts
  const { device, cuda } = options
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
