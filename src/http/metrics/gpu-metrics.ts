/** The GPU gauges that other NIMs have, read from `nvidia-smi`, which comes with the driver. */
import { execFile } from 'node:child_process'
import type { Registry, Sample } from './prometheus.ts'

const pollIntervalMs = 5_000

const gauges = [
  ['gpu_utilization', 'utilization.gpu', 0.01, 'Share of time with work on the GPU, 0 to 1.'],
  ['gpu_memory_used_bytes', 'memory.used', 2 ** 20, 'Used memory of the GPU.'],
  ['gpu_memory_total_bytes', 'memory.total', 2 ** 20, 'Memory of the GPU.'],
  ['gpu_power_usage_watts', 'power.draw', 1, 'Power drawn by the GPU.'],
] as const

const fields = ['index', ...gauges.map(([, field]) => field)]

/** Polls the GPUs with these UUIDs in the background, until the returned function is called. */
export function addGpuMetrics(registry: Registry, uuids: readonly string[]): () => void {
  let rows: string[][] = []
  const poll = () => {
    const args = [
      `--id=${uuids.join(',')}`,
      `--query-gpu=${fields.join(',')}`,
      '--format=csv,noheader,nounits',
    ]
    execFile('nvidia-smi', args, { timeout: pollIntervalMs }, (error, stdout) => {
      rows = error ? [] : parseRows(stdout)
    }).unref()
  }
  gauges.forEach(([name, , unit, help], at) => {
    registry.callback('gauge', name, help, () => rows.flatMap((row) => sampleOf(row, at + 1, unit)))
  })
  poll()
  const timer = setInterval(poll, pollIntervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

function parseRows(text: string): string[][] {
  const lines = text.trim().split('\n')
  return lines.map((line) => line.split(',').map((value) => value.trim()))
}

/** Empty where `nvidia-smi` prints `[N/A]`. */
function sampleOf(row: string[], column: number, unit: number): Sample[] {
  const value = Number(row[column])
  return row[column] === '' || Number.isNaN(value)
    ? []
    : [{ labels: { gpu: row[0] ?? '' }, value: value * unit }]
}
