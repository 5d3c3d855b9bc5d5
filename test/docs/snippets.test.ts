/** What README and docs show is a program that runs, as plain JavaScript, on the oldest Node that is supported. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, it } from 'vitest'
import { prepare, runSnippet, snippets } from './snippets.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-docs-'))
mkdirSync(path.join(folder, 'node_modules'))
symlinkSync(
  fileURLToPath(new URL('../..', import.meta.url)),
  path.join(folder, 'node_modules', 'cosmos-embed'),
)
prepare(folder)

afterAll(() => rmSync(folder, { recursive: true }))

it.each(snippets())('$name', (snippet) => runSnippet(process.execPath, snippet, folder), 300_000)
