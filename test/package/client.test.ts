/** Bundles the client and the adapters of the installed package for browsers. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { packed, result, run } from './support.ts'

it.skipIf(packed.toolsProblem !== '')(
  `needs nothing of Node.js, and tells how to reach an embedder ${packed.toolsProblem}`,
  () => {
    const args = ['page.mjs', '--bundle', '--platform=browser', '--format=esm', '--outfile=page-bundle.mjs']
    const { status, stderr } = run(path.join(packed.tools, 'esbuild', 'bin', 'esbuild'), args)
    expect(status, stderr).toBe(0)
    expect(stderr).not.toMatch(/warning/i)
    const bundle = readFileSync(path.join(packed.project, 'page-bundle.mjs'), 'utf8')
    expect(bundle).not.toMatch(/\bfrom ?["']|\bimport\(|\brequire\(/)
    for (const [program = '', ...before] of [
      [process.execPath],
      [path.join(packed.tools, 'bun', 'bin', 'bun')],
      [path.join(packed.tools, 'deno', 'deno'), 'run', '--no-prompt'], // without a permission
    ]) {
      const { vectors, adapters, says } = result(run(program, [...before, 'page-bundle.mjs']))
      expect(vectors, program).toEqual([[1, 1, 1]])
      expect(adapters).toBe(4)
      expect(says).toContain('createClient of "cosmos-embed/client"')
    }
  },
)

it('can be installed on platforms without an addon', () => {
  const { os, cpu, libc } = JSON.parse(
    readFileSync(path.join(packed.project, 'node_modules', 'cosmos-embed', 'package.json'), 'utf8'),
  )
  expect({ os, cpu, libc }).toEqual({})
})
