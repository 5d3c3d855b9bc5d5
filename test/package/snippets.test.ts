/** Runs the snippets of README and docs with the installed package, on the oldest and the newest supported Node.js. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, it } from 'vitest'
import { prepare, runSnippet, snippets } from '../docs/snippets.ts'
import { packed, run } from './support.ts'

// A separate project, since the snippets need more than the package.
const folder = path.join(path.dirname(packed.project), 'documentation')

beforeAll(() => {
  mkdirSync(folder)
  const { status, stderr } = run('cp', ['-al', path.join(packed.project, 'node_modules'), folder])
  if (status !== 0) throw new Error(stderr)
  prepare(folder)
})

describe.each(['node-20', 'node-26'])('on %s', (name) => {
  it.for(snippets())('$name', async (snippet, { skip }) => {
    if (packed.toolsProblem) skip(packed.toolsProblem)
    await runSnippet(path.join(packed.tools, name, 'bin', 'node'), snippet, folder)
  })
})
