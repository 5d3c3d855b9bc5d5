/** Validation of the options of calls. Unknown names are refused, because they are usually misspelt. */
import type { z } from 'zod'
import { checkOptions } from '../base/validate.ts'
import { lazySchema } from '../base/zod.ts'
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
  LiveOptions,
  SegmentOptions,
  VideoOptions,
} from '../types.ts'

/** {@link LiveOptions} with defaults applied. */
export type CheckedLiveOptions = LiveOptions & { [Name in LiveDefaults]: NonNullable<LiveOptions[Name]> }
type LiveDefaults = 'priority' | 'drop' | 'maxWaiting' | 'maxBytes' | 'stallSeconds' | 'onDrop'

/** The validated options of each kind of call. */
export interface CheckedOptions {
  embed: EmbedOptions
  item: ItemOptions
  video: VideoOptions
  frames: FramesOptions
  many: EmbedManyOptions
  stream: EmbedStreamOptions
  segments: SegmentOptions
  live: CheckedLiveOptions
  dispose: DisposeOptions
}

/** The kinds of calls that do work. */
export type CallKind = Exclude<keyof CheckedOptions, 'dispose' | 'live'>

const schemas = lazySchema(
  (z): { [Kind in keyof CheckedOptions]: z.ZodType<CheckedOptions[Kind], unknown> } => {
    const seconds = z.number().min(0).optional()
    const onProgress = z
      .custom<NonNullable<EmbedOptions['onProgress']>>(isFunction, 'must be a function')
      .optional()
    const call = z.strictObject({
      signal: z.custom<AbortSignal>(isSignal, 'must be an AbortSignal').optional(),
      whenFull: z.enum(['wait', 'refuse']).optional(),
    })
    const item = call.extend({ priority: z.enum(['query', 'bulk']).optional() })
    const video = item.extend({
      start: seconds,
      end: seconds,
      frameRule: frameRule().optional(),
      frameTolerance: seconds,
    })
    const length = z.number().positive('must be a number of seconds above 0')
    const liveLength = z.number().min(0.1, 'must be a number of seconds of at least 0.1').max(86_400)
    // Named rules only: an explicit list of frames cannot fit every segment.
    const segments = video
      .extend({
        windowSeconds: length.optional(),
        strideSeconds: length.optional(),
        at: cuts().optional(),
        shots: z
          .union([z.literal(true), z.strictObject({ threshold: threshold(), minSeconds: seconds })], {
            error: 'must be true, or an object with threshold and minSeconds',
          })
          .optional(),
        frameRule: namedFrameRule().optional(),
      })
      .superRefine(
        chooseOneWay({ window: 'windowSeconds', stride: 'strideSeconds', at: 'at', shots: 'shots' }),
      )
    return {
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
      live: z.strictObject({
        signal: call.shape.signal,
        priority: z.enum(['query', 'bulk']).default('query'),
        frameRule: namedFrameRule().optional(),
        windowSeconds: liveLength,
        strideSeconds: liveLength.optional(),
        drop: z.enum(['oldest', 'none']).default('oldest'),
        maxWaiting: z.int().min(1, 'must be a whole number of at least 1').max(1000).default(2),
        maxBytes: z
          .int()
          .min(65_536, 'must be a whole number of at least 65536')
          .default(64 * 1024 * 1024),
        stallSeconds: z.number().positive('must be a number of seconds above 0').max(2_000_000).default(30),
        onDrop: z
          .custom<NonNullable<LiveOptions['onDrop']>>(
            (value) => typeof value === 'function',
            'must be a function',
          )
          .default(() => () => {}),
      }),
      dispose: z.strictObject({ drain: z.boolean().optional() }),
    }
  },
)

const isFunction = (value: unknown) => typeof value === 'function'

/** Validates the options of a call. Throws InvalidArgumentError. */
export function checkCall<Kind extends keyof CheckedOptions>(
  kind: Kind,
  options?: object,
): CheckedOptions[Kind] {
  // The usual case, for which the schemas need not be loaded. Segments have an option that must be given.
  if (options === undefined && kind !== 'segments') return {} as CheckedOptions[Kind]
  return checkOptions(schemas()[kind], options ?? {}, 'options')
}
