/** Validation of how a video is divided into segments, which the options of `segments` and HTTP share. */
import { z } from 'zod'
import type { ShotOptions } from '../types.ts'

const MAX_CUTS = 100_000
const MAX_THRESHOLD = 765

/** How shots are told apart by default. */
const defaultShots = { threshold: 14, minSeconds: 0.5 }

/** Seconds at which segments begin. */
export const cuts: z.ZodType<number[]> = z
  .array(z.number().min(0))
  .max(MAX_CUTS)
  .refine((times) => times.every((time, index) => index === 0 || time > (times[index - 1] as number)), {
    error: 'must be ascending seconds',
  })

/** How much a picture differs from the one before where a shot begins. */
export const threshold: z.ZodType<number | undefined> = z.number().min(0.001).max(MAX_THRESHOLD).optional()

/** Fills in the defaults. */
export function shotsOf({ threshold, minSeconds }: ShotOptions): { threshold: number; minSeconds: number } {
  return {
    threshold: threshold ?? defaultShots.threshold,
    minSeconds: minSeconds ?? defaultShots.minSeconds,
  }
}

/** Names of the fields that say how a video is divided. */
export interface WayNames {
  window: string
  stride: string
  at: string
  shots: string
}

/** A refinement: exactly one of windows, cuts and shots, and a stride only with windows. */
export function chooseOneWay({ window, stride, at, shots }: WayNames) {
  return (value: object, context: z.core.$RefinementCtx): void => {
    const fields = value as Record<string, unknown>
    const given = [window, at, shots].filter((name) => fields[name] !== undefined)
    if (given.length !== 1) {
      const found = given.length === 0 ? 'none is given' : `${given.join(' and ')} are given`
      const message = `exactly one of ${window}, ${at} and ${shots} must be given; ${found}`
      context.addIssue({ code: 'custom', path: [given.at(-1) ?? window], message })
    } else if (fields[stride] !== undefined && fields[window] === undefined) {
      context.addIssue({ code: 'custom', path: [stride], message: `needs ${window}` })
    }
  }
}
