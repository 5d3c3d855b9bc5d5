/** The file beside a TensorRT plan that says what it was built from and for. docs/gpu.md prints it. */
import { z } from 'zod'
import type { Precision } from '../options.ts'

export type Tower = 'video' | 'text'
export const TOWERS: readonly Tower[] = ['video', 'text']

/** Of one input: what a profile takes, and what it is fastest at. */
export interface ShapeRange {
  min: number[]
  opt: number[]
  max: number[]
}

export interface Sidecar {
  formatVersion: 1
  tower: Tower
  /** Operating system and processor, e.g. "linux-x64". */
  platform: string
  /** All of its numbers, e.g. "10.16.1.11". */
  tensorrt: string
  /** E.g. "9.0". */
  computeCapability: string
  /** Name of the GPU that it was built on, and timed for. */
  gpu: string
  /** The newest CUDA that the driver served. */
  driver: string
  precision: Precision
  /** Rows of the largest batch. */
  maxBatch: number
  /** One entry per optimisation profile: ranges by the name of the input. As many batches run at a time. */
  profiles: Record<string, ShapeRange>[]
  /** Whether the plan brings code for the CPU, as a version-compatible one does. */
  hostCode: boolean
  /** SHA-256 of the bundle's files that it was made from, by their names in model.json. */
  onnx: Record<string, string>
  /** Beside this file. */
  plan: { file: string; sha256: string; bytes: number }
  /** ISO 8601, and the tool. */
  built: { at: string; by: string }
}

/** `<name>.plan` and `<name>.plan.json`. */
export const SIDECAR_SUFFIX = '.plan.json'
export const SIDECAR_FORMAT = 1

const version = z.string().regex(/^\d+(\.\d+)+$/, { error: 'must be numbers with dots between' })
const hash = z.string().regex(/^[0-9a-f]{64}$/, { error: 'must be 64 hex digits' })
const shape = z.array(z.int().min(1)).min(1)

export const sidecarSchema: z.ZodType<Sidecar> = z.object({
  formatVersion: z.literal(SIDECAR_FORMAT),
  tower: z.enum(['video', 'text']),
  platform: z.string(),
  tensorrt: version,
  computeCapability: version,
  gpu: z.string(),
  driver: version,
  precision: z.enum(['fp32', 'fp16', 'bf16', 'fp8']),
  maxBatch: z.int().min(1),
  profiles: z.array(z.record(z.string(), z.object({ min: shape, opt: shape, max: shape }))).min(1),
  hostCode: z.boolean(),
  onnx: z.record(z.string(), hash),
  plan: z.object({ file: z.string().min(1), sha256: hash, bytes: z.int().min(1) }),
  built: z.object({ at: z.string(), by: z.string() }),
})
