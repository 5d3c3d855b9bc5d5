// Finds the Python packages that benchmarks run beside cosmos-embed.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** @returns the interpreter of an environment with the pinned packages of a file in this folder; the first use makes it */
export function pythonWith(requirements) {
  const script = path.join(root, 'scripts', 'export', 'environment.py')
  const list = path.join(root, 'scripts', 'bench', requirements)
  const code = 'import sys; print(sys.executable)'
  /** @type {import('node:child_process').StdioOptions} */
  const stdio = ['ignore', 'pipe', 'inherit']
  const made = spawnSync('python3', [script, list, '-c', code], { encoding: 'utf8', stdio })
  if (made.status !== 0) throw new Error(`the Python environment of ${list} could not be made`)
  return made.stdout.trim()
}
