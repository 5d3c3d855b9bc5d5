/** Builds the engines of a model for one GPU, as `cosmos-embed build-engine` requests. */
import type { Binding, NativeGpuInfo } from '#binding'
import { loadBundle } from '../model/bundle.ts'
import { type Precision, resolveEmbedderOptions } from '../options.ts'
import type { BuildRequest } from '../tensorrt/engine-builder.ts'
import { findPlans, type Plans } from '../tensorrt/plan-files.ts'
import { type BuildEngines, probeGpus } from './choose-device.ts'
import { buildRequestFor, findUsableTensorRt, selectGpus } from './choose-gpus.ts'
import { driverLibraries } from './driver-libraries.ts'

export interface BuildModelOptions {
  /** Folder of the bundle. */
  model: string
  /** Number of the GPU. Default 0. */
  device?: number | undefined
  /** Default: the precision of the graphs. */
  precision?: Precision | undefined
  /** Maximum number of clips per batch. Default 8. */
  maxBatch?: number | undefined
  /** Folder for the plans. Default: `engines` in the bundle. */
  out?: string | undefined
  /** Path of trtexec. Default: searched. */
  trtexec?: string | undefined
  /** Rebuild plans that already fit. Default false. */
  force?: boolean | undefined
  /** Called with each line of the build's output. */
  onLine: (line: string) => void
  signal: AbortSignal
}

/** Builds what is missing. `built` is false if plans that fit already existed. Rejects as {@link BuildEngines} does. */
export async function buildModel(
  { model, device = 0, precision, maxBatch, out, trtexec, force = false, onLine, signal }: BuildModelOptions,
  binding: Binding,
  buildEngines: BuildEngines,
): Promise<{ plans: Plans; built: boolean }> {
  const cuda = { devices: [device], precision, engineBatch: maxBatch, engineCache: out, onBuild: onLine }
  const options = resolveEmbedderOptions({ model, device: 'cuda', cuda })
  const libraries = driverLibraries(options.cuda)
  const probe = await probeGpus(binding, libraries, signal)
  const gpu = selectGpus(probe, [device])[0] as NativeGpuInfo
  const tensorrt = await findUsableTensorRt(binding, options.cuda, signal)
  const bundle = await loadBundle(model, { signal })
  const found = { driver: probe.driver.version, libraries, tensorrt }
  const forAllFolders = buildRequestFor(gpu, found, { options, bundle, signal })
  // Only plans in the requested folder count as existing.
  const folders = forAllFolders.folders.slice(0, 1)
  const request: BuildRequest = { ...forAllFolders, folders, trtexec, force }
  const { plans } = force ? {} : await findPlans(request)
  if (plans) return { plans, built: false }
  return { plans: await buildEngines(request), built: true }
}
