/** Opens what was chosen: an engine on the CPU, or one on each GPU. */
import type { Binding, NativeEngine, NativeGpu } from '#binding'
import { cores } from '../base/cores.ts'
import { runNative } from '../base/native-job.ts'
import { CosmosEmbedError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import { MAX_THREADS, type ResolvedOptions } from '../options.ts'
import type { Plans } from '../tensorrt/plan-files.ts'
import { type CudaChoice, type DeviceChoice, fallBackToCpu } from './choose-device.ts'
import { findOnnxRuntime } from './onnxruntime-library.ts'

/** One pipeline's worth: an engine, and the GPU that it runs on and that makes its clips. */
export interface OpenDevice {
  engine: NativeEngine
  /** Nothing on the CPU. */
  gpu?: NativeGpu
  /** What the engine was loaded from, on a GPU. */
  plans?: Plans
  /** Videos decoded at one time. */
  decodeConcurrency: number
}

export interface OpenOptions {
  binding: Binding
  options: ResolvedOptions
  bundle: ModelBundle
  padTokenId: number
  signal: AbortSignal
}

/**
 * Opens every device, or rejects and leaves none open. With device "auto" a GPU that cannot be opened is one more
 * reason for the CPU; the choice that comes back is what was really taken.
 */
export async function openDevices(
  choice: DeviceChoice,
  parts: OpenOptions,
): Promise<{ choice: DeviceChoice; devices: OpenDevice[] }> {
  if (choice.kind === 'cpu') return { choice, devices: [await openCpu(parts)] }
  try {
    return { choice, devices: await openGpus(choice, parts) }
  } catch (error) {
    if (parts.options.device !== 'auto' || !(error instanceof CosmosEmbedError)) throw error
    return { choice: fallBackToCpu(error, { gpu: true }), devices: [await openCpu(parts)] }
  }
}

/** In this order: an engine holds on to its GPU. */
export async function closeDevices(devices: readonly OpenDevice[]): Promise<void> {
  await Promise.all(devices.map(({ engine }) => engine.close()))
  for (const { gpu } of devices) gpu?.close()
}

async function openCpu({ binding, options, bundle, padTokenId, signal }: OpenOptions): Promise<OpenDevice> {
  const { library, ...threading } = options.onnxruntime
  const { path } = findOnnxRuntime({ path: library })
  const create = () =>
    binding.createEngine({
      backend: 'onnxruntime',
      library: path,
      video: bundle.files.video.path,
      text: bundle.files.text.path,
      ...modelShape(bundle),
      padTokenId,
      ...threading,
      // The library itself counts the machine's cores, not those that a container may use.
      intraOpThreads: threading.intraOpThreads || cores,
    })
  const device = {
    engine: await runNative(create, signal),
    decodeConcurrency: options.decode.concurrency ?? Math.min(cores, MAX_THREADS),
  }
  await closeIfAborted([device], signal)
  return device
}

/** All at a time: loading an engine is reading gigabytes. */
async function openGpus(choice: CudaChoice, parts: OpenOptions): Promise<OpenDevice[]> {
  const opening = await Promise.allSettled(choice.gpus.map((chosen) => openGpu(choice, chosen, parts)))
  const devices = opening.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = opening.find((one) => one.status === 'rejected')
  if (failed) {
    await closeDevices(devices)
    throw failed.reason
  }
  await closeIfAborted(devices, parts.signal)
  return devices
}

async function openGpu(
  { libraries, tensorrt, gpus }: CudaChoice,
  { gpu: { device }, plans }: CudaChoice['gpus'][number],
  { binding, options, bundle, padTokenId, signal }: OpenOptions,
): Promise<OpenDevice> {
  const { nvdec, nvdecWorkers, contexts, graphs, hostCode } = options.cuda
  const cpuWorkers = options.cuda.cpuWorkers ?? Math.floor(cores / 2 / gpus.length)
  const openNative = () =>
    binding.openGpu({
      device,
      libraries,
      nvdec,
      cpuWorkers,
      ...(nvdecWorkers !== undefined && { nvdecWorkers }),
    })
  const gpu = await runNative(openNative, signal)
  try {
    const create = () =>
      binding.createEngine({
        backend: 'tensorrt',
        library: tensorrt.path,
        gpu,
        video: plans.video.path,
        text: plans.text.path,
        ...modelShape(bundle),
        padTokenId,
        contexts,
        graphs,
        hostCode,
      })
    const engine = await runNative(create, signal)
    const { concurrency } = options.decode
    const own = gpu.info.nvdecWorkers > 0 ? gpu.info.nvdecWorkers + cpuWorkers : cores / gpus.length
    const share = concurrency === undefined ? own : concurrency / gpus.length
    return { engine, gpu, plans, decodeConcurrency: Math.ceil(share) }
  } catch (error) {
    gpu.close()
    throw error
  }
}

/** A device may be there before its cancellation is. */
async function closeIfAborted(devices: readonly OpenDevice[], signal: AbortSignal): Promise<void> {
  if (!signal.aborted) return
  await closeDevices(devices)
  throw signal.reason
}

function modelShape({ frames, height, width, embeddingDim }: ModelBundle) {
  return { frames, height, width, embeddingDim }
}
