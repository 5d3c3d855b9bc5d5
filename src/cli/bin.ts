#!/usr/bin/env node
import process from 'node:process'

import { main } from './main.ts'

const abort = new AbortController()
process.once('SIGINT', () => abort.abort(new Error('interrupted')))
process.exitCode = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: abort.signal,
})
