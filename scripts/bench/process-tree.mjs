// Measures a program with all the processes that it starts: time, processor seconds, peak memory. Linux alone.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

const EVERY_MS = 100
/** Adding up the pages of a large process takes milliseconds, so that is done less often. */
const SAMPLES_PER_MEMORY = 5
const TICKS_PER_SECOND = 100 // USER_HZ, which is the same on every Linux

/**
 * Runs a program to its end. Rejects unless it exits with 0 or, of `allow`, another code or signal.
 *
 * @returns {Promise<{ seconds: number, cpuSeconds: number, peakMiB: number, output: string, exit: number | string }>}
 */
export async function runMeasured(command, args, options = {}) {
  const { program, finished } = startMeasured(command, args, options)
  const result = await finished
  if (![0, ...(options.allow ?? [])].includes(result.exit)) {
    throw new Error(
      `${program.spawnargs.slice(0, 3).join(' ')} … ended with ${result.exit}:\n${result.output}`,
    )
  }
  return result
}

/**
 * Starts a program. @returns the process, and a promise of what it took, which never rejects for an exit code
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 */
export function startMeasured(command, args, { env = process.env, cwd } = {}) {
  const began = performance.now()
  const program = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [program.stdout, program.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-20_000)
    })
  }
  let [cpuSeconds, peakMiB, samples] = [0, 0, 0]
  const sample = () => {
    const now = measureTree(program.pid, samples++ % SAMPLES_PER_MEMORY === 0)
    cpuSeconds = Math.max(cpuSeconds, now.cpuSeconds)
    peakMiB = Math.max(peakMiB, now.MiB)
  }
  const timer = setInterval(sample, EVERY_MS)
  const finished = (async () => {
    try {
      const [code, signal] = await once(program, 'close')
      return {
        seconds: (performance.now() - began) / 1000,
        cpuSeconds,
        peakMiB,
        output,
        exit: code ?? signal,
      }
    } finally {
      clearInterval(timer)
    }
  })()
  return { program, finished, output: () => output }
}

/**
 * Processor seconds and, with `withMemory`, the memory of a process and its descendants. A page that several of them share
 * counts once (PSS). The seconds include descendants that have ended and been waited for.
 */
function measureTree(root, withMemory) {
  let [ticks, kilobytes] = [0, 0]
  const waiting = [root]
  for (const pid of waiting) {
    try {
      // The fields behind the name, which is in brackets and may contain anything.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
      ticks += fields.slice(11, 15).reduce((sum, text) => sum + Number(text), 0)
      if (withMemory) kilobytes += rollupOf(pid).Pss
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim()
        if (children !== '') waiting.push(...children.split(' '))
      }
    } catch (error) {
      // It has ended meanwhile.
      if (!['ENOENT', 'ESRCH', 'EINVAL'].includes(error.code)) throw error
    }
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, MiB: kilobytes / 1024 }
}

/** @returns {Record<string, number>} what /proc adds up of all pages of a process, in KiB: Rss, Pss, Pss_Anon, Private_Dirty, … */
export function rollupOf(pid) {
  const lines = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').matchAll(/^(\w+): +(\d+) kB$/gm)
  return Object.fromEntries([...lines].map(([, field, kilobytes]) => [field, Number(kilobytes)]))
}
