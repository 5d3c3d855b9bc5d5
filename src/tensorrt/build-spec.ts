/** Specifies the engine build of a tower: the shapes of its optimisation profiles, and its precision. */
import { ModelError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'
import { type OnnxGraph, type OnnxInput, readOnnxGraph } from '../model/onnx-graph.ts'
import type { Precision } from '../options.ts'
import type { ShapeRange, Tower } from './sidecar.ts'

export interface TowerBuildSpec {
  tower: Tower
  /** Path of the ONNX graph. */
  onnx: string
  precision: Precision
  /** The type to which TensorRT 10 lowers an fp32 graph; undefined to keep the graph's types. */
  lowerTo: 'fp16' | 'bf16' | undefined
  /** Rows of the largest batch. */
  maxBatch: number
  /** Shape ranges by input name. */
  shapes: Record<string, ShapeRange>
  /** Whether the graph leaves a dimension open. Only dynamic graphs have optimisation profiles. */
  isDynamic: boolean
}

/** Two identical profiles: two batches run at a time, and each running batch needs a profile of its own. */
export const PROFILES = 2

export interface BuildConstraints {
  /** Default: the graph's own. */
  precision?: Precision | undefined
  maxBatch: number
  /** Major version of TensorRT. */
  major: number
}

/** Specifies the build of a tower's engine. Throws ModelError if the graph does not allow it. */
export function specifyBuild(bundle: ModelBundle, tower: Tower, request: BuildConstraints): TowerBuildSpec {
  const { path } = bundle.files[tower]
  const graph = readForTensorRt(path)
  const { inputs } = graph
  const open = tower === 'video' ? videoDims(bundle, inputs, path) : textDims(bundle, inputs, path)
  const batch = inputs[0]?.dims[0] ?? -1
  const maxBatch = batch > 0 ? batch : request.maxBatch
  const shapes = Object.fromEntries(
    inputs.map(({ name, dims }, i): [string, ShapeRange] => {
      // The first dimension is the batch.
      const range = [{ min: 1, opt: half(maxBatch), max: maxBatch }, ...(open[i] ?? [])]
      const side = (which: 'min' | 'opt' | 'max') =>
        dims.map((size, at) => (size > 0 ? size : (range[at]?.[which] ?? 1)))
      return [name, { min: side('min'), opt: side('opt'), max: side('max') }]
    }),
  )
  return {
    tower,
    onnx: path,
    ...choosePrecision(tower, path, graph, request),
    maxBatch,
    shapes,
    isDynamic: inputs.some(({ dims }) => dims.some((size) => size <= 0)),
  }
}

/** Reads a graph. Throws ModelError if no engine can be built from it at all. */
function readForTensorRt(path: string): OnnxGraph {
  const graph = readOnnxGraph(path)
  const why = cpuOnlyReason(graph, path)
  if (why !== undefined) throw new ModelError(why)
  return graph
}

/**
 * Throws ModelError for a graph that TensorRT can never run, so that the user is not told to build it. Ignores unreadable
 * graphs, which the build itself reports.
 */
export function rejectCpuOnlyGraph(path: string): void {
  let graph: OnnxGraph
  try {
    graph = readOnnxGraph(path)
  } catch {
    return
  }
  const why = cpuOnlyReason(graph, path)
  if (why !== undefined) throw new ModelError(why)
}

function cpuOnlyReason({ onnxRuntimeOps }: OnnxGraph, path: string): string | undefined {
  if (onnxRuntimeOps.size === 0) return undefined
  return (
    `graph ${path} uses ${[...onnxRuntimeOps].join(', ')}, which only ONNX Runtime has. Such graphs, e.g. in int8, are for ` +
    'CPUs. For a GPU, export the checkpoint again with "cosmos-embed export --precision bf16" or fp16'
  )
}

interface Range {
  min: number
  opt: number
  max: number
}

const fixed = (size: number): Range => ({ min: size, opt: size, max: size })
const half = (size: number) => Math.max(1, Math.floor(size / 2))

/** The layout is [B,T,3,H,W], or [B,3,T,H,W] in graphs exported by TAO. */
function videoDims({ frames, height, width }: ModelBundle, inputs: OnnxInput[], path: string): Range[][] {
  const [input] = inputs
  if (!input || inputs.length > 1 || input.dims.length !== 5) {
    throw new ModelError(`graph ${path} has inputs ${describe(inputs)}: expected one of five dimensions`)
  }
  const others = [...input.consumers].filter((kind) => kind !== 'Cast')
  if (input.isUint8 && others.length > 0) {
    throw new ModelError(
      `graph ${path} feeds the uint8 input ${input.name} to ${others.join(', ')}, but TensorRT allows that only for a ` +
        'Cast: export the model again with a Cast to float first',
    )
  }
  const isTao = input.dims[1] === 3 && input.dims[2] !== 3
  const sizes = isTao ? [3, frames, height, width] : [frames, 3, height, width]
  return [sizes.map(fixed)]
}

/** The layout is [B,S] for both inputs. */
function textDims({ maxTextTokens }: ModelBundle, inputs: OnnxInput[], path: string): Range[][] {
  if (inputs.length !== 2 || inputs.some(({ dims }) => dims.length !== 2)) {
    throw new ModelError(
      `graph ${path} has inputs ${describe(inputs)}: expected token ids and mask, [batch,tokens]`,
    )
  }
  return inputs.map(() => [{ min: 1, opt: half(maxTextTokens), max: maxTextTokens }])
}

function describe(inputs: readonly OnnxInput[]): string {
  if (inputs.length === 0) return 'none'
  return inputs.map(({ name, dims }) => `${name} [${dims.join(',')}]`).join(', ')
}

/**
 * TensorRT 11 always computes in the graph's types. With TensorRT 10 we request the same, so that a bundle gives the same
 * engine with both. Only TensorRT 10 can lower the precision, and only from fp32.
 */
function choosePrecision(
  tower: Tower,
  path: string,
  { weights }: OnnxGraph,
  { precision: wanted, major }: BuildConstraints,
): Pick<TowerBuildSpec, 'precision' | 'lowerTo'> {
  const own = precisionOf(weights)
  if (wanted === undefined || wanted === own) return { precision: own, lowerTo: undefined }
  const found = `the ${tower} graph ${path} is ${own} (${describeWeights(weights)})`
  if (major >= 11) {
    throw new ModelError(
      `precision ${wanted}: ${found}, and TensorRT ${major} computes in the graph's own types: export the model again ` +
        `${howToExport(wanted)}, or leave the precision out`,
    )
  }
  if (own !== 'fp32' || (wanted !== 'fp16' && wanted !== 'bf16')) {
    throw new ModelError(
      `precision ${wanted}: ${found}, and TensorRT ${major} can turn only fp32 into fp16 or bf16: export the model again ` +
        `${howToExport(wanted)}, or leave the precision out`,
    )
  }
  return { precision: wanted, lowerTo: wanted }
}

function howToExport(precision: Precision): string {
  return precision === 'fp8'
    ? 'and quantise it to fp8 with ModelOpt'
    : `with "cosmos-embed export --precision ${precision}"`
}

/** The precision of most weights, or fp8 if there is any: such a graph is quantised. */
function precisionOf(weights: OnnxGraph['weights']): Precision {
  if (weights.fp8) return 'fp8'
  const [most = ['fp32', 0]] = Object.entries(weights).sort(([, a], [, b]) => b - a)
  return most[0] as Precision
}

function describeWeights(weights: OnnxGraph['weights']): string {
  const parts = Object.entries(weights).map(([name, count]) => `${count} numbers in ${name}`)
  return parts.join(', ') || 'no weights'
}
