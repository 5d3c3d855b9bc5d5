/** What README and docs show, with the installed package, on every Node that is supported. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeSnippets } from '../docs/snippets.ts'
import { packed, run } from './support.ts'

// Inside of the project, so that the package is found.
const folder = path.join(packed.project, 'documentation')
mkdirSync(folder)
const written = writeSnippets(folder)

describe.each(['this Node', 'node-22', 'node-24'])('on %s', (name) => {
  it.for(written)('$name', ({ file, runs }, { skip }) => {
    if (packed.toolsProblem && name !== 'this Node') skip(packed.toolsProblem)
    const node = name === 'this Node' ? process.execPath : path.join(packed.tools, name, 'bin', 'node')
    const { status, stderr } = run(node, runs ? [file] : ['--check', file], { cwd: folder })
    expect(status, stderr).toBe(0)
  })
})
