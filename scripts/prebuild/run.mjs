// Runs the child processes of the prebuild. Their output goes to a log file, whose end is shown when one fails.

import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'

/** A failure that is explained by its message and printed without a stack. */
export class PrebuildError extends Error {}

/**
 * Runs a command to its end; throws PrebuildError with the end of its output when it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, log: string }} options
 */
export function run(command, args, { cwd, env = {}, log }) {
  mkdirSync(path.dirname(log), { recursive: true })
  const output = openSync(log, 'a')
  try {
    const { status, error, signal } = spawnSync(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', output, output],
    })
    if (status === 0) return
    const how = error?.message ?? (signal ? `signal ${signal}` : `exit ${status}`)
    const end = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-40).join('\n')
    throw new PrebuildError(`${path.basename(command)} failed (${how}); the end of ${log}:\n${end}`)
  } finally {
    closeSync(output)
  }
}

/**
 * @returns the stdout of a command. Throws PrebuildError when it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export function read(command, args, { cwd, env = {} } = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status === 0) return stdout
  throw new PrebuildError(
    `${command} ${args.join(' ')} failed (${error?.message ?? `exit ${status}`}):\n${stderr ?? ''}`,
  )
}

/** Runs `work` and prints how long it took. */
export function timed(name, work) {
  const began = performance.now()
  const result = work()
  say(`${name}: ${((performance.now() - began) / 1000).toFixed(0)} s`)
  return result
}

export function say(text) {
  console.error(`[prebuild] ${text}`)
}
