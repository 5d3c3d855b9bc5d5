/** Machines with GPUs, engines for them, and embedders on those. */
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

/** Only its existence is checked before the addon opens it, and here no addon does. */
export const tensorrt = new URL(import.meta.url).pathname

export const h200 = (device: number, more: Partial<NativeGpuInfo> = {}): NativeGpuInfo => ({
  device,
  name: 'NVIDIA H200',
  uuid: `GPU-${device}`,
  computeCapability: '9.0',
  memoryBytes: 140 * 2 ** 30,
  ...more,
})

/** A folder with an engine for each tower, made to fit the machine of the double. Removed when the process ends. */
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

/** A machine with so many GPUs. Whatever was opened there must be counted by the test. */
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
