/** What README and docs show is a program that runs, as plain JavaScript, on the oldest Node that is supported. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { writeSnippets } from './snippets.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-docs-'))
mkdirSync(path.join(folder, 'node_modules'))
symlinkSync(
  fileURLToPath(new URL('../..', import.meta.url)),
  path.join(folder, 'node_modules', 'cosmos-embed'),
)

afterAll(() => rmSync(folder, { recursive: true }))

it.each(writeSnippets(folder))(
  '$name',
  ({ file, runs }) => {
    const args = runs ? [file] : ['--check', file]
    const { status, stderr } = spawnSync(process.execPath, args, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 240_000,
    })
    expect(status, stderr).toBe(0)
  },
  300_000,
)
