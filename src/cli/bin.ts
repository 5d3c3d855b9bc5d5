#!/usr/bin/env node
import process from 'node:process'
import { createInterface } from 'node:readline/promises'

const abort = new AbortController()
process.once('SIGINT', () => abort.abort(new Error('interrupted')))
// Before anything else is loaded: a server that a supervisor stops while it starts has not failed.
const terminated = new Error('terminated')
process.once('SIGTERM', () => abort.abort(terminated))
const { main } = await import('./main.ts')
const code = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: abort.signal,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
})
// As a shell counts signals; `main` knows only that somebody stopped it.
process.exitCode = code === 130 && abort.signal.reason === terminated ? 143 : code

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
