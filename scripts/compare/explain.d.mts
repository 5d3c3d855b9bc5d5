import type { Difference } from './judge.mjs'

export interface Known {
  video: RegExp
  what: readonly string[]
  reason: string
  avcodec?: readonly number[]
  chance?: boolean
}
export interface Compared {
  name: string
  runs: { frames: number; start?: number; end?: number }[]
  differs: Difference[]
}
export function explain<Result extends Compared>(
  results: readonly Result[],
  known: readonly Known[],
  avcodec: number,
): { same: Result[]; known: Result[]; unknown: Result[]; stale: Known[] }
export function rows(results: readonly Compared[]): string[][]
