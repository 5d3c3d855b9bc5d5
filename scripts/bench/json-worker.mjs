// Runs the programs beside which a benchmark measures: each prints what it found as JSON.

import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args the first is a script, for messages
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<any>} what it printed
 */
export function worker(command, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output))
      else reject(new Error(`${path.basename(command)} ${path.basename(args[0])} ended with ${code}`))
    })
  })
}
