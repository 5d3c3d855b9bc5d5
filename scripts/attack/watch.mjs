// What an attack does to the server meanwhile: how long liveness takes to answer, and the most memory that it holds.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * Starts to watch. Where the machine has other things to do than this, what its main thread waited for a processor is not
 * the server's delay: `p99` is without that share.
 *
 * The function that comes back ends it and resolves with what was seen. */
export async function watch(url, pid) {
  forgetPeak(pid)
  const before = scheduled(pid)
  // In a thread of its own: the making of an attack must not count as the server's delay.
  const prober = new Worker(fileURLToPath(new URL('./prober.mjs', import.meta.url)), { workerData: url })
  await new Promise((resolve) => prober.once('message', resolve))
  return async () => {
    prober.postMessage('stop')
    const { latencies, unanswered } = await new Promise((resolve) => prober.once('message', resolve))
    await prober.terminate()
    const sorted = latencies.sort((a, b) => a - b)
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
    const after = scheduled(pid)
    const ran = after.ran - before.ran
    const waited = after.waited - before.waited
    return {
      p99: (at(0.99) * ran) / Math.max(1, ran + waited),
      longest: at(1),
      unanswered: unanswered / Math.max(1, unanswered + sorted.length),
      peak: peakOf(pid),
    }
  }
}

/** Nanoseconds for which the main thread ran, and waited to run. */
function scheduled(pid) {
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ').map(Number)
  return { ran, waited }
}

/** Linux forgets the highest resident size of a process when asked to. */
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
