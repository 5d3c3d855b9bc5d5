export type Metrics = Record<string, number[]>
export type Tables = Record<string, Record<string, Metrics>>
export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
}
export interface Saved {
  format: 1
  commit: string
  changed: boolean
  machine: Machine
  tables: Tables
}
export function oneRun(rows: Record<string, unknown>[]): Record<string, Metrics>
export function machineId(machine: Machine): string
export function save(root: string, machine: Machine, tables: Tables): string
export function merge(older: Tables, newer: Tables): Tables
export function load(root: string, name: string): Saved
export function isLabel(column: string): boolean
