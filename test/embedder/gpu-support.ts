/** Fake machines with GPUs, engines for them, and embedders on them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { NativeGpuInfo } from '#binding'
import type { BuildEngines } from '../../src/device/choose-device.ts'
import { openEmbedder } from '../../src/embedder.ts'
import type { Embedder, EmbedderOptions } from '../../src/index.ts'
import { loadBundle } from '../../src/model/bundle.ts'
import { type PlacedEngine, placeEngine } from '../unit/engines.ts'
import { BindingDouble } from './double.ts'
import { model, onnxruntime } from './support.ts'

/** Only its existence is checked, because no addon opens it here. */
export const tensorrt = new URL(import.meta.url).pathname

export const h200 = (device: number, more: Partial<NativeGpuInfo> = {}): NativeGpuInfo => ({
  device,
  name: 'NVIDIA H200',
  uuid: `GPU-${device}`,
  computeCapability: '9.0',
  memoryBytes: 140 * 2 ** 30,
  ...more,
})

/** A folder with engines for both towers that match the double's machine. Removed when the process ends. */
export async function engines(...engine: PlacedEngine[]): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-engines-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const bundle = await loadBundle(model)
  for (const each of engine.length > 0 ? engine : [{}, { tower: 'text' as const }]) {
    placeEngine(folder, bundle, each)
  }
  return folder
}

export const noBuild: BuildEngines = () => {
  throw new Error('nothing should be built')
}

export interface Machine {
  double: BindingDouble
  open(options?: EmbedderOptions): Promise<Embedder>
}

/** A machine with this many GPUs. The test must check what was opened on it. */
export function machineWith(gpus: readonly NativeGpuInfo[], build: BuildEngines = noBuild): Machine {
  const double = new BindingDouble()
  double.gpus.push(...gpus)
  const open = ({ cuda, ...options }: EmbedderOptions = {}) =>
    openEmbedder(
      {
        model,
        onnxruntime,
        cuda: { libraries: { tensorrt }, buildEngine: 'never', ...cuda },
        ...options,
      },
      double,
      build,
    )
  return { double, open }
}
