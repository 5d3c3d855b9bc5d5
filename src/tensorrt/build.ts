/** Engines for a model and a GPU, at somebody's express wish. */
import type { Binding, NativeGpuInfo } from '#binding'
import { type BuildEngines, openableTensorRt, probeGpus, requestFor, selectGpus } from '../device/choice.ts'
import { driverLibraries } from '../device/libraries.ts'
import { loadBundle } from '../model/bundle.ts'
import { type Precision, resolveEmbedderOptions } from '../options.ts'
import type { BuildRequest } from './engine-builder.ts'
import { findPlans, type Plans } from './engine-plan.ts'

export interface ModelBuild {
  /** Folder of the bundle. */
  model: string
  /** Number of the GPU. Default 0. */
  device?: number | undefined
  precision?: Precision | undefined
  maxBatch?: number | undefined
  /** Where engines go. Default: `engines` in the bundle. */
  out?: string | undefined
  trtexec?: string | undefined
  force?: boolean | undefined
  onLine: (line: string) => void
  signal: AbortSignal
}

/** `built` is false when engines that fit were there already. Rejects as {@link BuildEngines} does. */
export async function buildModel(
  { model, device = 0, precision, maxBatch, out, trtexec, force = false, onLine, signal }: ModelBuild,
  binding: Binding,
  buildEngines: BuildEngines,
): Promise<{ plans: Plans; built: boolean }> {
  const cuda = { devices: [device], precision, engineBatch: maxBatch, engineCache: out, onBuild: onLine }
  const options = resolveEmbedderOptions({ model, device: 'cuda', cuda })
  const libraries = driverLibraries(options.cuda)
  const probe = await probeGpus(binding, libraries, signal)
  const gpu = selectGpus(probe, [device])[0] as NativeGpuInfo
  const tensorrt = await openableTensorRt(binding, options.cuda, signal)
  const bundle = await loadBundle(model, { signal })
  const found = { driver: probe.driver.version, libraries, tensorrt }
  const everywhere = requestFor(gpu, found, { options, bundle, signal })
  // What is asked for is an engine in this folder.
  const folders = everywhere.folders.slice(0, 1)
  const request: BuildRequest = { ...everywhere, folders, trtexec, force }
  const { plans } = force ? {} : await findPlans(request)
  if (plans) return { plans, built: false }
  return { plans: await buildEngines(request), built: true }
}
