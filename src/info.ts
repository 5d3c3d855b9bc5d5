/** Composes what `info()` returns. */
import { createHash } from 'node:crypto'
import type { NativeDiagnostics } from '#binding'
import { VERSION } from './base/version.ts'
import type { DeviceChoice } from './device/choose-device.ts'
import { OUTSIDE_ON_NVDEC } from './device/decoder-processes.ts'
import type { OpenDevice } from './device/open-devices.ts'
import type { ModelBundle } from './model/bundle.ts'
import type { ResolvedOptions } from './options.ts'
import type { DevicePipelines } from './run/device-pipelines.ts'
import type { PlanFile } from './tensorrt/plan-files.ts'
import type { EmbedderInfo, EngineFacts, GpuFacts, NamedFrameRule } from './types.ts'

export interface EmbedderFacts {
  options: ResolvedOptions
  choice: DeviceChoice
  bundle: ModelBundle
  /** At least one. */
  devices: readonly OpenDevice[]
  diagnostics: NativeDiagnostics
  pipelines: DevicePipelines
}

export function describeEmbedder(facts: EmbedderFacts): EmbedderInfo {
  const { options, choice, bundle, devices, diagnostics, pipelines } = facts
  const { simd, ffmpeg } = diagnostics
  const { engine, decoders } = devices[0] as OpenDevice
  return {
    version: VERSION,
    device: describeDevice(choice, devices),
    ...(decoders !== undefined && {
      decoders: {
        walls: decoders.walls,
        outside: devices.some(({ gpu }) => gpu?.info.nvdecReason === '') ? [...OUTSIDE_ON_NVDEC] : [],
      },
    }),
    model: {
      id: bundle.id,
      servedNames: [...new Set([...options.servedNames, bundle.id])],
      variant: bundle.variant,
      path: bundle.directory,
      frames: bundle.frames,
      height: bundle.height,
      width: bundle.width,
      embeddingDim: bundle.embeddingDim,
      maxTextTokens: bundle.maxTextTokens,
      license: bundle.license,
      frameRule: options.frameRule,
      fingerprint: fingerprintOf(bundle, options.frameRule),
    },
    engine: {
      backend: engine.info.backend,
      version: engine.info.version,
      library: engine.info.library,
    },
    addon: {
      version: diagnostics.version,
      simd,
      ffmpeg: { avcodec: ffmpeg.avcodec, avformat: ffmpeg.avformat, license: ffmpeg.license },
    },
    limits: {
      decodeConcurrency: devices.reduce((sum, { decodeConcurrency }) => sum + decodeConcurrency, 0),
      maxVideoBatch: pipelines.maxBatch.video,
      maxTextBatch: pipelines.maxBatch.text,
      input: options.limits,
      decode: options.decode.limits,
    },
    urls: options.urls,
  }
}

function describeDevice(choice: DeviceChoice, devices: readonly OpenDevice[]): EmbedderInfo['device'] {
  const { reason } = choice
  if (choice.kind === 'cpu') return { kind: 'cpu', reason }
  return { kind: 'cuda', reason, driver: choice.driver, gpus: devices.flatMap(describeGpu) }
}

function describeGpu({ gpu, plans }: OpenDevice): GpuFacts[] {
  if (!gpu || !plans) return []
  const { device, name, uuid, computeCapability, memoryBytes, nvdec, nvdecEngines, nvdecReason } = gpu.info
  return [
    {
      ...{ device, name, uuid, computeCapability, memoryBytes },
      engines: { video: describeEngine(plans.video), text: describeEngine(plans.text) },
      nvdec: { engines: nvdecEngines, reason: nvdecReason, capabilities: nvdec },
    },
  ]
}

function describeEngine({ path, sidecar }: PlanFile): EngineFacts {
  const { precision, maxBatch, built, gpu, driver, tensorrt } = sidecar
  return { path, precision, maxBatch, built: { at: built.at, gpu, driver, tensorrt } }
}

function fingerprintOf({ files }: ModelBundle, frameRule: NamedFrameRule): string {
  const hash = createHash('sha256')
  for (const [name, { sha256 }] of Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name} ${sha256}\n`)
  }
  // The default rule is left out, so that fingerprints from before there were rules stay valid.
  if (frameRule !== 'card') hash.update(`frameRule ${frameRule}\n`)
  return hash.digest('hex').slice(0, 32)
}
