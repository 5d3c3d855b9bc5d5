/** What `cosmos-embed doctor` says about GPUs. A machine without one is a note: the CPU does the same work. */
import type { Binding, NativeGpuInfo, NativeGpuLibraries, NativeNvdecCapability } from '#binding'
import { buildCommand, findUsableTensorRt, probeGpus, buildRequestFor, selectGpus } from '../device/choose-device.ts'
import { driverLibraries } from '../device/driver-libraries.ts'
import { CosmosEmbedError, errorTable } from '../errors.ts'
import { loadBundle } from '../model/bundle.ts'
import { findPlans } from '../tensorrt/plan-files.ts'
import { TOWERS } from '../tensorrt/sidecar.ts'
import { runNative } from '../base/native-job.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Finding } from './doctor.ts'

export interface GpuCheck {
  binding: Binding
  /** With `device: 'cuda'` what is missing is a failure. */
  options: ResolvedOptions
  /** Folder of the bundle whose engines are looked at. */
  model: string
  signal: AbortSignal
}

/** Nothing about later things where an earlier one is missing that they need. */
export async function gpuFindings(parts: GpuCheck): Promise<Finding[]> {
  const { binding, options, signal } = parts
  const { cuda, device } = options
  const missing = device === 'cuda' ? 'failed' : 'note'
  const findings: Finding[] = []
  /** Runs one check; what it throws is its finding. */
  const look = async <T>(check: string, run: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof CosmosEmbedError)) throw error
      // A machine that does not want a GPU needs no advice about it.
      const fix =
        missing === 'note' || error.message.includes('\n') ? undefined : errorTable[error.code].advice
      findings.push({ check, state: missing, found: error.message, ...(fix !== undefined && { fix }) })
      return undefined
    }
  }

  if (device === 'cpu') return findings
  const probed = await look('NVIDIA driver', async () => {
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

  const gpus = (await look('GPUs', () => selectGpus(probe, cuda.devices))) ?? []
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
    const found = await look(`NVDEC of GPU ${gpu.device}`, () => nvdec(gpu, libraries, parts))
    if (found) findings.push(found)
  }
  const tensorrt = await look('TensorRT', () => findUsableTensorRt(binding, cuda, signal))
  if (!tensorrt) return findings
  findings.push({
    check: 'TensorRT',
    state: 'ok',
    found:
      `${tensorrt.version} at ${tensorrt.path} (found by: ${tensorrt.origin})` +
      (tensorrt.lean ? ', a lean runtime: it runs version-compatible engines only' : ''),
  })
  for (const gpu of gpus) {
    const check = `engines for GPU ${gpu.device}`
    const found = await look(check, async (): Promise<Finding> => {
      const bundle = await loadBundle(parts.model, { signal })
      const request = buildRequestFor(gpu, { driver: driver.version, libraries, tensorrt }, { ...parts, bundle })
      const { plans, missing: why } = await findPlans(request)
      const fix = `build them with: ${buildCommand(bundle, cuda, gpu.device)}`
      if (!plans) return { check, state: missing, found: why, fix }
      const each = TOWERS.map((tower) => {
        const { path, sidecar } = plans[tower]
        return `${tower} ${sidecar.precision}, batches up to ${sidecar.maxBatch}, built on ${sidecar.gpu} (${path})`
      })
      return { check, state: 'ok', found: each.join('; ') }
    })
    if (found) findings.push(found)
  }
  return findings
}

async function nvdec(
  { device }: NativeGpuInfo,
  libraries: NativeGpuLibraries,
  { binding, options, signal }: GpuCheck,
): Promise<Finding> {
  const check = `NVDEC of GPU ${device}`
  const gpu = await runNative(() => binding.openGpu({ device, libraries, nvdec: options.cuda.nvdec }), signal)
  try {
    const { nvdecReason, nvdecEngines, nvdec: asked } = gpu.info
    if (nvdecReason !== '') {
      return {
        check,
        state: 'note',
        found: `not used: ${nvdecReason}. The CPU decodes`,
        fix: 'in a container, NVIDIA_DRIVER_CAPABILITIES must name "video"',
      }
    }
    const engines = `${nvdecEngines} engine${nvdecEngines === 1 ? '' : 's'}`
    return { check, state: 'ok', found: `${engines}; ${describeCapabilities(asked)}` }
  } finally {
    gpu.close()
  }
}

/** "decodes h264 4:2:0 8-bit to 4096×4096, …; leaves to the CPU: av1 4:2:0 8-bit, …" */
function describeCapabilities(asked: readonly NativeNvdecCapability[]): string {
  const name = ({ codec, chroma, bitDepth }: NativeNvdecCapability) =>
    `${codec} ${[...chroma].join(':')} ${bitDepth}-bit`
  const can = asked
    .filter(({ supported }) => supported)
    .map((one) => `${name(one)} to ${one.maxWidth}×${one.maxHeight}`)
  const cannot = asked.filter(({ supported }) => !supported).map(name)
  return [
    `decodes ${can.join(', ') || 'nothing'}`,
    ...(cannot.length > 0 ? [`leaves to the CPU: ${cannot.join(', ')}`] : []),
  ].join('; ')
}
