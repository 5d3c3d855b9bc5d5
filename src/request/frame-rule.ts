/** Which frames of a video become the clip that the model sees. The rules themselves: native/media/plan/frame_rule.h. */
import { z } from 'zod'

export const frameRules = ['card', 'curator', 'rounded'] as const

/**
 * - `card`: frame ⌊i·(N−1)/(T−1)⌋ of N, as the model card and NVIDIA's open server on a GPU.
 * - `curator`: as NVIDIA's curators (cosmos-curate, NeMo Curator). Samples twice a second, the nearest frame each;
 *   doubles the rate up to 20 while there are fewer than T; takes every n-th and leaves the tail. A video that is too
 *   short even so (under 0.41 s with 8 frames) is a MediaError, where they give no vector.
 * - `rounded`: as NVIDIA's Video Search and Summarization. Frame round(i·(N−1)/(T−1)); a video of fewer than T frames
 *   repeats its last one.
 */
export type NamedFrameRule = (typeof frameRules)[number]

/** A rule, or the frames themselves: one for each frame of the clip, in any order, repetitions allowed. */
export type FrameRule =
  | NamedFrameRule
  /** Numbers of frames among the displayable ones of the range, as `FrameInfo.index` says them. */
  | { indices: readonly number[] }
  /** Seconds on the same timeline as `start`: the frame that is on screen then. */
  | { timestamps: readonly number[] }

export const namedFrameRule: z.ZodType<NamedFrameRule> = z.enum(frameRules, {
  error: `must be ${frameRules.map((name) => `"${name}"`).join(', ')}`,
})

const forms = 'must be "card", "curator", "rounded", { indices } or { timestamps }'

export const frameRule: z.ZodType<FrameRule> = z.union(
  [
    z.enum(frameRules, { error: forms }),
    z.strictObject({ indices: z.array(z.int().min(0)) }),
    z.strictObject({ timestamps: z.array(z.number().min(0)) }),
  ],
  { error: forms },
)

/** How many frames the caller chose; nothing where a rule chooses. */
export function ownChoice(rule: FrameRule): { list: 'indices' | 'timestamps'; count: number } | undefined {
  if (typeof rule === 'string') return undefined
  if ('indices' in rule) return { list: 'indices', count: rule.indices.length }
  return { list: 'timestamps', count: rule.timestamps.length }
}
