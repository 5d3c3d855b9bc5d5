import type { Machine } from './history.mjs'

export type Cell = string | number | number[]
export interface Measurement {
  command?: string
  machine?: Machine & { node: string; version: string; date: string }
  versions?: Record<string, string>
  columns: string[]
  rows: Cell[][]
}
export function asMeasurement(
  rows: Record<string, Cell>[],
  about: Partial<Measurement>,
  repetition?: Measurement,
): Measurement
export function record(root: string, name: string, measurement: Measurement): string
export function render(results: { measurements: Measurement[] }): string
export function rewritten(root: string): { text: string; made: string; problems: string[] }
export function documentProblems(root: string): string[]
export function writeDocument(root: string): string[]
