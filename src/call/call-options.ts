/** Validation of the options of calls. Unknown names are refused, because they are usually misspelt. */
import { z } from 'zod'
import { checkOptions } from '../base/validate.ts'
import { frameRule, namedFrameRule } from '../request/frame-rule.ts'
import { chooseOneWay, cuts, threshold } from '../request/segment-rule.ts'
import { isSignal } from '../source/type-guards.ts'
import type {
  DisposeOptions,
  EmbedManyOptions,
  EmbedOptions,
  EmbedStreamOptions,
  FramesOptions,
  ItemOptions,
  SegmentOptions,
  VideoOptions,
} from '../types.ts'

const seconds = z.number().min(0).optional()
const onProgress = z
  .custom<NonNullable<EmbedOptions['onProgress']>>(
    (value) => typeof value === 'function',
    'must be a function',
  )
  .optional()

const call = z.strictObject({
  signal: z.custom<AbortSignal>(isSignal, 'must be an AbortSignal').optional(),
  whenFull: z.enum(['wait', 'refuse']).optional(),
})
const item = call.extend({ priority: z.enum(['query', 'bulk']).optional() })
const video = item.extend({
  start: seconds,
  end: seconds,
  frameRule: frameRule.optional(),
  frameTolerance: seconds,
})
const length = z.number().positive('must be a number of seconds above 0')

/** The validated options of each kind of call. */
export interface CheckedOptions {
  embed: EmbedOptions
  item: ItemOptions
  video: VideoOptions
  frames: FramesOptions
  many: EmbedManyOptions
  stream: EmbedStreamOptions
  segments: SegmentOptions
  dispose: DisposeOptions
}

/** The kinds of calls that do work. */
export type CallKind = Exclude<keyof CheckedOptions, 'dispose'>

// Named rules only: an explicit list of frames cannot fit every segment.
const segments = video
  .extend({
    windowSeconds: length.optional(),
    strideSeconds: length.optional(),
    at: cuts.optional(),
    shots: z
      .union([z.literal(true), z.strictObject({ threshold, minSeconds: seconds })], {
        error: 'must be true, or an object with threshold and minSeconds',
      })
      .optional(),
    frameRule: namedFrameRule.optional(),
  })
  .superRefine(chooseOneWay({ window: 'windowSeconds', stride: 'strideSeconds', at: 'at', shots: 'shots' }))

const schemas: { [Kind in keyof CheckedOptions]: z.ZodType<CheckedOptions[Kind], unknown> } = {
  embed: call.extend({ onProgress }),
  item,
  video,
  frames: video.extend({ images: z.boolean().optional() }),
  many: item.extend({ onProgress }),
  stream: item.extend({
    onProgress,
    concurrency: z.int().min(1, 'must be a whole number of at least 1').optional(),
    ordered: z.boolean().optional(),
  }),
  segments: segments as unknown as z.ZodType<SegmentOptions, unknown>,
  dispose: z.strictObject({ drain: z.boolean().optional() }),
}

/** Validates the options of a call. Throws InvalidArgumentError. */
export function checkCall<Kind extends keyof CheckedOptions>(
  kind: Kind,
  options: object = {},
): CheckedOptions[Kind] {
  return checkOptions(schemas[kind], options, 'options')
}
