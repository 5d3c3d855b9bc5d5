/** The GPU checks of `cosmos-embed doctor`. A missing GPU is only a note, unless `--device cuda` asks for one. */
import type { Binding, NativeGpuInfo, NativeGpuLibraries, NativeNvdecCapability } from '#binding'
import { runNative } from '../base/native-job.ts'
import { probeGpus } from '../device/choose-device.ts'
import { buildCommand, buildRequestFor, findUsableTensorRt, selectGpus } from '../device/choose-gpus.ts'
import { OUTSIDE_ON_NVDEC } from '../device/decoder-processes.ts'
import { driverLibraries } from '../device/driver-libraries.ts'
import { CosmosEmbedError, errorTable } from '../errors.ts'
import { loadBundle } from '../model/bundle.ts'
import type { ResolvedOptions } from '../options.ts'
import { findPlans } from '../tensorrt/plan-files.ts'
import { TOWERS } from '../tensorrt/sidecar.ts'
import type { Finding } from './finding.ts'

export interface GpuCheckOptions {
  binding: Binding
  /** With `device: 'cuda'`, whatever is missing is a failure. */
  options: ResolvedOptions
  /** Folder of the bundle whose plans are checked. */
  model: string
  signal: AbortSignal
}

/** Runs the checks in the order of their dependencies, and leaves out those that depend on a failed one. */
export async function gpuFindings(check: GpuCheckOptions): Promise<Finding[]> {
  const { binding, options, signal } = check
  const { cuda, device } = options
  const missing = device === 'cuda' ? 'failed' : 'note'
  const findings: Finding[] = []
  /** Runs one check. A CosmosEmbedError becomes a finding. */
  const attempt = async <T>(name: string, run: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof CosmosEmbedError)) throw error
      // No advice unless a GPU was asked for, or if the message contains it already.
      const fix =
        missing === 'note' || error.message.includes('\n') ? undefined : errorTable[error.code].advice
      findings.push({ check: name, state: missing, found: error.message, ...(fix !== undefined && { fix }) })
      return undefined
    }
  }

  if (device === 'cpu') return findings
  const probed = await attempt('NVIDIA driver', async () => {
    const libraries = driverLibraries(cuda)
    return { libraries, probe: await probeGpus(binding, libraries, signal) }
  })
  if (!probed) return findings
  const { libraries, probe } = probed
  const { driver } = probe
  findings.push({
    check: 'NVIDIA driver',
    state: 'ok',
    found: `serves CUDA up to ${driver.version} (${driver.library})`,
  })

  const gpus = (await attempt('GPUs', () => selectGpus(probe, cuda.devices))) ?? []
  for (const gpu of probe.devices) {
    const isUsed = gpus.some(({ device: at }) => at === gpu.device)
    findings.push({
      check: `GPU ${gpu.device}`,
      state: 'ok',
      found:
        `${gpu.name}, compute capability ${gpu.computeCapability}, ${(gpu.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${gpu.uuid}` +
        (isUsed ? '' : ' (not used: cuda.devices does not name it)'),
    })
  }
  for (const gpu of gpus) {
    const found = await attempt(`NVDEC of GPU ${gpu.device}`, () => nvdecFinding(gpu, libraries, check))
    if (found) findings.push(found)
  }
  const tensorrt = await attempt('TensorRT', () => findUsableTensorRt(binding, cuda, signal))
  if (!tensorrt) return findings
  findings.push({
    check: 'TensorRT',
    state: 'ok',
    found:
      `${tensorrt.version} at ${tensorrt.path} (found by: ${tensorrt.origin})` +
      (tensorrt.lean ? ', a lean runtime: it runs version-compatible engines only' : ''),
  })
  for (const gpu of gpus) {
    const name = `engines for GPU ${gpu.device}`
    const found = await attempt(name, async (): Promise<Finding> => {
      const bundle = await loadBundle(check.model, { signal })
      const request = buildRequestFor(
        gpu,
        { driver: driver.version, libraries, tensorrt },
        { ...check, bundle },
      )
      const { plans, missing: why } = await findPlans(request)
      const fix = `build them with: ${buildCommand(bundle, cuda, gpu.device)}`
      if (!plans) return { check: name, state: missing, found: why, fix }
      const each = TOWERS.map((tower) => {
        const { path, sidecar } = plans[tower]
        return `${tower} ${sidecar.precision}, batches up to ${sidecar.maxBatch}, built on ${sidecar.gpu} (${path})`
      })
      return { check: name, state: 'ok', found: each.join('; ') }
    })
    if (found) findings.push(found)
  }
  return findings
}

async function nvdecFinding(
  { device }: NativeGpuInfo,
  libraries: NativeGpuLibraries,
  { binding, options, signal }: GpuCheckOptions,
): Promise<Finding> {
  const check = `NVDEC of GPU ${device}`
  const gpu = await runNative(() => binding.openGpu({ device, libraries, nvdec: options.cuda.nvdec }), signal)
  try {
    const { nvdecReason, nvdecEngines, nvdec: capabilities } = gpu.info
    if (nvdecReason !== '') {
      return {
        check,
        state: 'note',
        found: `not used: ${nvdecReason}. The CPU decodes`,
        fix: 'in a container, NVIDIA_DRIVER_CAPABILITIES must name "video"',
      }
    }
    const engines = `${nvdecEngines} engine${nvdecEngines === 1 ? '' : 's'}`
    const outside = `with decode.isolation, ${OUTSIDE_ON_NVDEC.join(' and ')} stay in this process`
    return { check, state: 'ok', found: `${engines}; ${describeCapabilities(capabilities)}; ${outside}` }
  } finally {
    gpu.close()
  }
}

/** "decodes h264 4:2:0 8-bit to 4096×4096, …; leaves to the CPU: av1 4:2:0 8-bit, …" */
function describeCapabilities(capabilities: readonly NativeNvdecCapability[]): string {
  const name = ({ codec, chroma, bitDepth }: NativeNvdecCapability) =>
    `${codec} ${[...chroma].join(':')} ${bitDepth}-bit`
  const supported = capabilities
    .filter((capability) => capability.supported)
    .map((capability) => `${name(capability)} to ${capability.maxWidth}×${capability.maxHeight}`)
  const unsupported = capabilities.filter((capability) => !capability.supported).map(name)
  return [
    `decodes ${supported.join(', ') || 'nothing'}`,
    ...(unsupported.length > 0 ? [`leaves to the CPU: ${unsupported.join(', ')}`] : []),
  ].join('; ')
}
