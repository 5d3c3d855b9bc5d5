#!/usr/bin/env node
import process from 'node:process'
import { createInterface } from 'node:readline/promises'

import { main } from './main.ts'

const abort = new AbortController()
process.once('SIGINT', () => abort.abort(new Error('interrupted')))
process.exitCode = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: abort.signal,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
})

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  // In a terminal's raw mode Ctrl-C is a key and no signal.
  lines.once('SIGINT', () => abort.abort(new Error('interrupted')))
  try {
    // Ctrl-D ends the input without an answer.
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
    const answer = await Promise.race([lines.question(question, { signal: abort.signal }), ended])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
