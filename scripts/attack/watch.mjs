// Watches a server during an attack: the latency of liveness probes, and its peak memory.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * Watches the server of process `pid`, and the control server. On a busy machine the main thread also waits for a processor,
 * which is not the server's delay: `p99` leaves that share out.
 *
 * @returns a function that stops watching and resolves with the measurements
 */
export async function watch({ url, pid, control }) {
  forgetPeak(pid)
  const before = scheduled(pid)
  // A thread of its own: the work of making an attack must not count as the server's delay.
  const file = fileURLToPath(new URL('./prober.mjs', import.meta.url))
  const prober = new Worker(file, { workerData: { url, control } })
  await new Promise((resolve) => prober.once('message', resolve))
  return async () => {
    prober.postMessage('stop')
    const { latencies, unanswered, control } = await new Promise((resolve) => prober.once('message', resolve))
    await prober.terminate()
    const after = scheduled(pid)
    const ran = after.ran - before.ran
    const waited = after.waited - before.waited
    return {
      p99: (at(latencies, 0.99) * ran) / Math.max(1, ran + waited),
      longest: at(latencies, 1),
      unanswered: unanswered / Math.max(1, unanswered + latencies.length),
      control: at(control, 0.99),
      peak: peakOf(pid),
    }
  }
}

function at(latencies, share) {
  const sorted = latencies.sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

/** Nanoseconds for which the main thread ran, and for which it waited for a processor. */
function scheduled(pid) {
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ').map(Number)
  return { ran, waited }
}

/** Resets the peak resident size, which Linux allows through clear_refs. */
function forgetPeak(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function peakOf(pid) {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

export function residentOf(pid) {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}
