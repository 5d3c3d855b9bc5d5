/** Names and validation of the rules that choose a clip's frames. native/media/plan/frame_rule.h implements them. */
import type { z } from 'zod'
import { lazySchema } from '../base/zod.ts'

export const frameRules = ['card', 'curator', 'rounded'] as const

/**
 * A rule that chooses the T frames of a clip among the N displayable frames of a video or range.
 *
 * - `card`: frame ⌊i·(N−1)/(T−1)⌋, like the model card and NVIDIA's open server on a GPU.
 * - `curator`: like NVIDIA's curators (cosmos-curate, NeMo Curator). Takes the frame nearest to every half second; while
 *   there are fewer than T, doubles the rate, up to 20 per second; then takes every n-th frame and drops the tail. A video
 *   that is too short even then (under 0.41 s for T = 8) is a MediaError, where the curators return no vector.
 * - `rounded`: like NVIDIA's Video Search and Summarization. Frame round(i·(N−1)/(T−1)); a video with fewer than T frames
 *   repeats its last one.
 */
export type NamedFrameRule = (typeof frameRules)[number]

/** A rule, or an explicit list of exactly T frames in any order, repetitions allowed. */
export type FrameRule =
  | NamedFrameRule
  /** Numbers of frames among the displayable ones of the range, from 0, as in `FrameInfo.index`. */
  | { indices: readonly number[] }
  /** Seconds on the same timeline as `start`; each selects the frame on screen at that time. */
  | { timestamps: readonly number[] }

export const namedFrameRule: () => z.ZodType<NamedFrameRule> = lazySchema((z) =>
  z.enum(frameRules, { error: `must be ${frameRules.map((name) => `"${name}"`).join(', ')}` }),
)

const forms = 'must be "card", "curator", "rounded", { indices } or { timestamps }'

export const frameRule: () => z.ZodType<FrameRule> = lazySchema((z) =>
  z.union(
    [
      z.enum(frameRules, { error: forms }),
      z.strictObject({ indices: z.array(z.int().min(0)) }),
      z.strictObject({ timestamps: z.array(z.number().min(0)) }),
    ],
    { error: forms },
  ),
)

/** The explicit list of a rule and its length; undefined for a named rule. */
export function explicitFrames(
  rule: FrameRule,
): { list: 'indices' | 'timestamps'; count: number } | undefined {
  if (typeof rule === 'string') return undefined
  if ('indices' in rule) return { list: 'indices', count: rule.indices.length }
  return { list: 'timestamps', count: rule.timestamps.length }
}
