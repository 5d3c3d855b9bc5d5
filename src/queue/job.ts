/** What a job of the queue holds: the rows of some hundred items, and the index that they belong to. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Columns, carry } from '../bulk/columns.ts'
import type { Failure } from '../bulk/failures.ts'
import type { PlannedItem } from '../bulk/planned-item.ts'
import type { IndexDescription } from '../bulk/sink.ts'
import { type NamedFrameRule, namedFrameRule } from '../request/frame-rule.ts'

/** Name of the jobs within their queue. */
export const JOB_NAME = 'index'

/** The index that the items of a job belong to. */
export interface JobPlan {
  out: string
  table?: string | undefined
  windows: IndexDescription['windows']
  frameTolerance: number
  frameRule: NamedFrameRule
  columns: Columns
}

/** An item as a row of a manifest: `id`, `video` or `text`, `start`, `end`, and further columns. */
export interface JobRow {
  id: string
  [column: string]: unknown
}

const planSchema: z.ZodType<JobPlan> = z.object({
  out: z.string().min(1),
  table: z.string().optional(),
  windows: z
    .union([
      z.object({ seconds: z.number().positive(), stride: z.number().positive() }),
      z.object({ shots: z.object({ threshold: z.number().positive(), minSeconds: z.number().min(0) }) }),
    ])
    .nullable(),
  frameTolerance: z.number().min(0),
  frameRule: namedFrameRule,
  columns: z.record(z.string(), z.enum(['string', 'int64', 'double', 'boolean'])),
})

const rowSchema: z.ZodType<JobRow> = z.looseObject({ id: z.string().min(1) })

const jobSchema = z.object({
  format: z.literal(1),
  index: planSchema,
  rows: z.array(rowSchema),
  failures: z.array(
    z.object({ key: z.string(), code: z.string(), message: z.string(), retryable: z.boolean() }),
  ),
})

export interface JobData {
  /** Version of this format. */
  format: 1
  index: JobPlan
  /** Items that are not in the index yet. */
  rows: JobRow[]
  /** Why the last try left items out. */
  failures: Failure[]
}

/** Checks what was read from the queue. Undefined if another program, or another version of this one, has put it there. */
export function parseJob(data: unknown): JobData | undefined {
  const parsed = jobSchema.safeParse(data)
  return parsed.success ? (parsed.data as JobData) : undefined
}

/** The row from which a worker plans the same item again. */
export function rowOf({ id, uri, input, carried }: PlannedItem, columns: Columns): JobRow {
  const values = carry(carried, columns)
  if ('text' in input) return { ...values, id, text: input.text }
  // A function signs the URL of an object in a bucket for each try, so the worker gets the object's address.
  const video = typeof input.video === 'function' ? (uri as string) : `${input.video}`
  const { start, end } = input
  return { ...values, id, video, ...(start !== undefined && { start }), ...(end !== undefined && { end }) }
}

/**
 * The id of a job, from its index and its items: the same items in the same index make the same job, which BullMQ does not add
 * a second time while it is in the queue.
 */
export function jobId(index: JobPlan, rows: readonly JobRow[]): string {
  const identity = JSON.stringify([index, rows.map(({ id }) => id)])
  return createHash('sha256').update(identity).digest('hex').slice(0, 32)
}
