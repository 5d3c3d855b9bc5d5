/** The sidecar: the file beside a TensorRT plan that describes what it was built from and for. Shown in docs/gpu.md. */
import type { ZodType } from 'zod'
import { zod } from '../base/zod.ts'
import type { Precision } from '../options.ts'

const z = zod()

/** One of the model's two networks. */
export type Tower = 'video' | 'text'
export const TOWERS: readonly Tower[] = ['video', 'text']

/** The shapes that an optimisation profile accepts for one input, and the one it is optimised for. */
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
  /** Full version, e.g. "10.16.1.11". */
  tensorrt: string
  /** E.g. "9.0". */
  computeCapability: string
  /** Name of the GPU that the plan was built on and is optimised for. */
  gpu: string
  /** The newest CUDA version that the driver supported. */
  driver: string
  precision: Precision
  /** Rows of the largest batch. */
  maxBatch: number
  /** Ranges by input name, one entry per optimisation profile. As many batches can run at a time. */
  profiles: Record<string, ShapeRange>[]
  /** Whether the plan contains code for the CPU, as version-compatible plans do. */
  hostCode: boolean
  /** SHA-256 of the bundle's files that the plan was built from, by their names in model.json. */
  onnx: Record<string, string>
  /** The plan beside this file. */
  plan: { file: string; sha256: string; bytes: number }
  /** Time in ISO 8601, and the build tool. */
  built: { at: string; by: string }
}

/** A plan is `<name>.plan`, its sidecar `<name>.plan.json`. */
export const SIDECAR_SUFFIX = '.plan.json'
export const SIDECAR_FORMAT = 1

const version = z.string().regex(/^\d+(\.\d+)+$/, { error: 'must be numbers separated by dots' })
const hash = z.string().regex(/^[0-9a-f]{64}$/, { error: 'must be 64 hex digits' })
const shape = z.array(z.int().min(1)).min(1)

export const sidecarSchema: ZodType<Sidecar> = z.object({
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
