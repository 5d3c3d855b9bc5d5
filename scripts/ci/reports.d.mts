import type { AllowedSkip } from './skips.mjs'

export interface Skip {
  file: string
  name: string
}
export interface Counts {
  passed: number
  failed: number
  skipped: number
  skips: Skip[]
}
export function fromVitest(report: object): Counts
export function fromGoogleTest(report: object): Counts
export function judgeSkips(
  skips: Skip[],
  report: string,
  allowed: AllowedSkip[],
): { reasons: Map<string, number>; refused: Skip[] }
