/** Opens the chosen device: one engine on the CPU, or one on each GPU. */
import type { Binding, NativeDecoderPool, NativeEngine, NativeGpu } from '#binding'
import { cores } from '../base/cores.ts'
import { runNative } from '../base/native-job.ts'
import { CosmosEmbedError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import { MAX_THREADS, type ResolvedOptions } from '../options.ts'
import type { Plans } from '../tensorrt/plan-files.ts'
import { type CudaChoice, type DeviceChoice, fallBackToCpu } from './choose-device.ts'
import { openDecoderProcesses } from './decoder-processes.ts'
import { findOnnxRuntime } from './onnxruntime-library.ts'

/** What one pipeline needs: an engine, and the GPU that it runs on and that prepares its clips. */
export interface OpenDevice {
  engine: NativeEngine
  /** Absent on the CPU. */
  gpu?: NativeGpu
  /** The plans that the engine was loaded from; absent on the CPU. */
  plans?: Plans
  /** The processes that decode its media; absent when this process does. */
  decoders?: NativeDecoderPool
  /** Number of videos decoded at one time. */
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
 * Opens every device, or rejects and leaves none open. With `device: "auto"`, falls back to the CPU if a GPU cannot be
 * opened; the returned choice is the one that was opened.
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

/** Closes the engines before the GPUs that they use. */
export async function closeDevices(devices: readonly OpenDevice[]): Promise<void> {
  await Promise.all(devices.map(({ engine }) => engine.close()))
  for (const { gpu, decoders } of devices) {
    gpu?.close()
    decoders?.close()
  }
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
      // ONNX Runtime counts the machine's cores instead of those that a container may use.
      intraOpThreads: threading.intraOpThreads || cores,
      // With two cores a second lane gains nothing, and a single one runs without waking further threads.
      textLanes: threading.textLanes ?? (cores > 2 ? 2 : 1),
    })
  const decodeConcurrency = options.decode.concurrency ?? Math.min(cores, MAX_THREADS)
  const device = await withDecoders(
    { engine: await runNative(create, signal), decodeConcurrency },
    { binding, options, signal },
  )
  await closeIfAborted([device], signal)
  return device
}

/** Adds the processes that decode the device's media. Closes the device if they cannot be started. */
async function withDecoders(
  device: OpenDevice,
  { binding, options: { decode }, signal }: Pick<OpenOptions, 'binding' | 'options' | 'signal'>,
): Promise<OpenDevice> {
  try {
    const concurrency = device.decodeConcurrency
    const decoders = await openDecoderProcesses({ binding, decode, concurrency, signal })
    return decoders ? { ...device, decoders } : device
  } catch (error) {
    await device.engine.close()
    throw error
  }
}

/** Opens all GPUs in parallel: loading an engine reads gigabytes. */
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
    return await withDecoders(
      { engine, gpu, plans, decodeConcurrency: Math.ceil(share) },
      { binding, options, signal },
    )
  } catch (error) {
    gpu.close()
    throw error
  }
}

/** Closes the devices if the signal was aborted after they had been opened. */
async function closeIfAborted(devices: readonly OpenDevice[], signal: AbortSignal): Promise<void> {
  if (!signal.aborted) return
  await closeDevices(devices)
  throw signal.reason
}

function modelShape({ frames, height, width, embeddingDim }: ModelBundle) {
  return { frames, height, width, embeddingDim }
}
