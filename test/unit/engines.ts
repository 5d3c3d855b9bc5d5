/** Minimal graphs, engines and machines for tests. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadBundle, type ModelBundle } from '../../src/model/bundle.ts'
import type { TargetMachine } from '../../src/tensorrt/plan-files.ts'
import { onnxHashes, platform } from '../../src/tensorrt/plan-files.ts'
import type { Sidecar, Tower } from '../../src/tensorrt/sidecar.ts'
import { contents, modelJson, sha256, writeBundle } from './bundles.ts'

export const machine: TargetMachine = {
  tensorrt: { version: '10.16.1.11', lean: false },
  gpu: { name: 'NVIDIA H200', computeCapability: '9.0' },
  driver: '12.8',
}

/** The header of a plan as TensorRT writes it. */
export function planBytes(version = machine.tensorrt.version, rest = 'a plan'): Buffer {
  const header = Buffer.alloc(28)
  header.writeUInt32LE(0x74727466, 0)
  for (const [i, part] of version.split('.').entries()) header[24 + i] = Number(part) & 255
  return Buffer.concat([header, Buffer.from(rest)])
}

export interface PlacedEngine {
  tower?: Tower
  name?: string
  plan?: Buffer
  /** Fields that differ from those of a matching engine. */
  sidecar?: Partial<Sidecar>
}

/** Writes a plan and a sidecar that match {@link machine} and the bundle. Returns the plan's path. */
export function placeEngine(
  folder: string,
  bundle: ModelBundle,
  { tower = 'video', name = tower, plan = planBytes(), sidecar = {} }: PlacedEngine = {},
): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${name}.plan`)
  writeFileSync(path, plan, { mode: 0o644 })
  const fitting: Sidecar = {
    formatVersion: 1,
    tower,
    platform,
    tensorrt: machine.tensorrt.version,
    computeCapability: machine.gpu.computeCapability,
    gpu: machine.gpu.name,
    driver: machine.driver,
    precision: 'fp16',
    maxBatch: 8,
    profiles: [{ videos: { min: [1], opt: [4], max: [8] } }],
    hostCode: false,
    onnx: onnxHashes(bundle, tower),
    plan: {
      file: `${name}.plan`,
      sha256: createHash('sha256').update(plan).digest('hex'),
      bytes: plan.length,
    },
    built: { at: '2026-01-02T03:04:05.000Z', by: 'trtexec' },
    ...sidecar,
  }
  writeFileSync(`${path}.json`, JSON.stringify(fitting))
  return path
}

/** The part of Protocol Buffers that these ONNX files need. */
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
const bytes = (number: number, content: Uint8Array): Buffer =>
  Buffer.from([...varint(number * 8 + 2), ...varint(content.length), ...content])
const number = (field: number, value: number): Buffer => Buffer.from([...varint(field * 8), ...varint(value)])
const text = (field: number, value: string) => bytes(field, Buffer.from(value))
const message = (field: number, ...parts: Buffer[]) => bytes(field, Buffer.concat(parts))

export interface GraphParts {
  /** -1 stands for a named dimension. */
  inputs: Record<string, number[]>
  /** Operator that consumes the inputs, which are then bytes. */
  consumers?: string[]
  /** Operators of further nodes in ONNX Runtime's own domain. */
  onnxRuntimeOps?: string[]
  /** Element type by ONNX's number, and shape. */
  weights?: { type: number; dims: number[]; packed?: boolean }[]
}

/** An ONNX file with inputs, weights and fields that a reader must skip. */
export function onnxBytes({ inputs, consumers = [], onnxRuntimeOps = [], weights = [] }: GraphParts): Buffer {
  const type = consumers.length > 0 ? 2 : 1
  const value = (name: string, dims: number[]) => {
    const shape = dims.map((size) => message(1, size < 0 ? text(2, 'batch') : number(1, size)))
    return Buffer.concat([text(1, name), message(2, message(1, number(1, type), message(2, ...shape)))])
  }
  const tensor = ({ type, dims, packed }: NonNullable<GraphParts['weights']>[number], i: number) => [
    ...(packed ? [bytes(1, Buffer.from(dims.flatMap(varint)))] : dims.map((size) => number(1, size))),
    number(2, type),
    text(8, `weight-${i}`),
    bytes(9, Buffer.alloc(10_000, 0xff)),
  ]
  const graph = [
    message(1, text(4, 'MatMul')),
    ...consumers.map((kind) =>
      message(1, ...Object.keys(inputs).map((name) => text(1, name)), text(4, kind)),
    ),
    ...onnxRuntimeOps.map((kind) => message(1, text(4, kind), text(7, 'com.microsoft'))),
    ...weights.map((weight, i) => message(5, ...tensor(weight, i))),
    ...Object.entries(inputs).map(([name, dims]) => bytes(11, value(name, dims))),
    // Old graphs also list their weights as inputs.
    ...weights.map((_, i) => bytes(11, value(`weight-${i}`, [1]))),
  ]
  return Buffer.concat([number(1, 10), text(2, 'a test'), message(7, ...graph), message(8, number(2, 17))])
}

export const canonical: Record<Tower, GraphParts> = {
  video: { inputs: { videos: [-1, 8, 3, 224, 224] }, weights: [{ type: 1, dims: [3, 1000] }] },
  text: {
    inputs: { input_ids: [-1, -1], attention_mask: [-1, -1] },
    weights: [{ type: 1, dims: [1000], packed: true }],
  },
}

/** A bundle with ONNX graphs, whose tokenizer loads if `tokenizer` is a valid one. */
export async function onnxBundle(
  graphs: Partial<Record<Tower, GraphParts>> = {},
  tokenizer = contents['tokenizer.json'] as string,
): Promise<ModelBundle> {
  const files: Record<string, Buffer> = {
    'video.onnx': onnxBytes(graphs.video ?? canonical.video),
    'text.onnx': onnxBytes(graphs.text ?? canonical.text),
    'tokenizer.json': Buffer.from(tokenizer),
  }
  const entry = (path: string) => {
    const content = files[path] as Buffer
    return { path, sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length }
  }
  const folder = writeBundle({
    ...modelJson,
    files: {
      ...modelJson.files,
      video: entry('video.onnx'),
      text: entry('text.onnx'),
      tokenizer: entry('tokenizer.json'),
    },
  })
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content)
  return await loadBundle(folder)
}

export { sha256 }
