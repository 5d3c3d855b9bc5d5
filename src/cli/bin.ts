#!/usr/bin/env node
/** The program `cosmos-embed`: connects `main` to the process's streams, signals and exit code. */
import process from 'node:process'

const abort = new AbortController()
process.once('SIGINT', () => abort.abort(new Error('interrupted')))
// Installed before anything else is loaded: a server that is stopped while it starts must not count as failed.
const terminated = new Error('terminated')
process.once('SIGTERM', () => abort.abort(terminated))
const { main } = await import('./main.ts')
const code = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: abort.signal,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
})
// 128 + the signal's number, as shells report it. `main` only knows that the signal was aborted.
process.exitCode = code === 130 && abort.signal.reason === terminated ? 143 : code

async function ask(question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  // In raw mode, a terminal delivers Ctrl-C as a key instead of a signal.
  lines.once('SIGINT', () => abort.abort(new Error('interrupted')))
  try {
    // Ctrl-D closes the input without an answer, which counts as no.
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
    const answer = await Promise.race([lines.question(question, { signal: abort.signal }), ended])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
