import type { Saved } from './history.mjs'

export interface Range {
  median: number
  least: number
  most: number
  runs: number
}
export interface Change {
  where: string
  metric: string
  before: Range
  after: Range
  /** Of the median, as a share of the one before. */
  change: number
  verdict: 'better' | 'worse' | 'other'
}
export interface Changes {
  sameMachine: boolean
  compared: number
  tooFewRuns: number
  onOneSide: string[]
  changed: Change[]
}
export function changes(before: Saved, after: Saved): Changes
export function describe(changes: Changes): string[]
