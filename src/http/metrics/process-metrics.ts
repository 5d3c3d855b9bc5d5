/** The `process_*` and event-loop gauges that dashboards expect of a Node service. */
import { readdirSync } from 'node:fs'
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import type { Registry } from './prometheus.ts'

/** Returns the function that stops measuring. */
export function addProcessMetrics(registry: Registry): () => void {
  const started = Date.now() / 1000 - process.uptime()
  const loop: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 })
  loop.enable()
  registry.from('counter', 'process_cpu_seconds_total', 'User and system CPU time in seconds.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry.from('gauge', 'process_resident_memory_bytes', 'Resident memory in bytes.', () =>
    process.memoryUsage.rss(),
  )
  registry.from('gauge', 'process_heap_bytes', 'Used JavaScript heap in bytes.', () => {
    return process.memoryUsage().heapUsed
  })
  registry.from('gauge', 'process_start_time_seconds', 'Start of the process since the epoch.', () => started)
  registry.from('gauge', 'process_open_fds', 'Open file descriptors.', openFileDescriptors)
  registry.from(
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
