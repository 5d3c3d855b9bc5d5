/** The `process_*` and event-loop metrics, under the names that prom-client gives them. */
import { readdirSync } from 'node:fs'
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import type { Registry } from './prometheus.ts'

/** Measures until the returned function is called. */
export function addProcessMetrics(registry: Registry): () => void {
  const started = Date.now() / 1000 - process.uptime()
  const loop: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 })
  loop.enable()
  registry.callback('counter', 'process_cpu_seconds_total', 'User and system CPU time in seconds.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry.callback('gauge', 'process_resident_memory_bytes', 'Resident memory in bytes.', () =>
    process.memoryUsage.rss(),
  )
  registry.callback('gauge', 'process_heap_bytes', 'Used JavaScript heap in bytes.', () => {
    return process.memoryUsage().heapUsed
  })
  registry.callback(
    'gauge',
    'process_start_time_seconds',
    'Start of the process since the epoch.',
    () => started,
  )
  registry.callback('gauge', 'process_open_fds', 'Open file descriptors.', openFileDescriptors)
  registry.callback(
    'gauge',
    'nodejs_eventloop_lag_p99_seconds',
    'Delay of the event loop since the last scrape.',
    () => {
      const seconds = loop.percentile(99) / 1e9
      loop.reset()
      return seconds
    },
  )
  return () => {
    loop.disable()
  }
}

function openFileDescriptors(): number | [] {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return []
  }
}
