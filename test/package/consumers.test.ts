/** Uses the installed package from Node.js, the shell, TypeScript, a bundler and other runtimes. */
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { clips, cosine, installedPackage, packed, result, run, videos } from './support.ts'

const tool = (...parts: string[]) => path.join(packed.tools, ...parts)
const node = process.execPath

let reference: number[][]

beforeAll(() => {
  reference = result(run(node, ['embed.mjs', ...videos])).vectors
})

describe('imported by Node.js', () => {
  it('embeds an mp4, a webm and a text into unit vectors', () => {
    expect(reference.map((vector) => vector.length)).toEqual([256, 256, 256])
    for (const vector of reference) expect(cosine(vector, vector)).toBeCloseTo(1, 5)
  })

  it('has the vectors of an addon built here with the FFmpeg of this system', ({ skip }) => {
    const local = path.join(packed.root, 'build', 'Release', 'cosmos-embed.node')
    if (!existsSync(local)) skip('no addon in build/Release')
    const { vectors } = result(run(node, ['embed.mjs', ...videos], { env: { COSMOS_EMBED_ADDON: local } }))
    vectors.forEach((vector, i) => {
      expect(cosine(vector, reference[i])).toBeGreaterThan(0.9999)
    })
  })

  it('finds its own ONNX Runtime', () => {
    const { engine } = result(run(node, ['embed.mjs', ...videos])) as unknown as {
      engine: { library: string }
    }
    expect(engine.library).toBe(
      path.join(installedPackage, 'prebuilds', `linux-${process.arch}`, 'libonnxruntime.so.1'),
    )
  })

  it('can be required from CommonJS', () => {
    const outcome = run(node, ['require.cjs'])
    expect(cosine(result(outcome).vectors[0], reference[2])).toBeCloseTo(1, 5)
    // The only output is the warning that no model was named.
    expect(outcome.stderr).toMatch(/^\(node:\d+\) \[COSMOS_EMBED_DEMO_MODEL\] [^\n]*\n\(Use [^\n]*\n?$/)
  })

  it('works in several threads at once, also when one is terminated', () => {
    const { vectors } = result(run(node, ['worker.mjs', videos[0] as string]))
    for (const vector of vectors) expect(cosine(vector, reference[0])).toBeCloseTo(1, 5)
  })

  it.for(['node-20', 'node-22', 'node-24', 'node-26'])('works in %s', (name, { skip }) => {
    if (packed.toolsProblem) skip(packed.toolsProblem)
    const { vectors } = result(run(tool(name, 'bin', 'node'), ['embed.mjs', ...videos]))
    expect(cosine(vectors[1], reference[1])).toBeCloseTo(1, 5)
  })
})

describe('at a shell', () => {
  it('passes npx cosmos-embed doctor', () => {
    const { status, stdout } = run('npx', ['--no', 'cosmos-embed', 'doctor', '--json'])
    const { findings } = JSON.parse(stdout)
    // A machine without a GPU gets notes about it.
    const others = findings.filter(({ check }: { check: string }) => !/NVIDIA|GPU|NVDEC|TensorRT/.test(check))
    expect(others.filter(({ state }: { state: string }) => state !== 'ok')).toEqual([])
    expect(findings.filter(({ state }: { state: string }) => state === 'failed')).toEqual([])
    expect(status).toBe(0)
  })

  it('finds the clip that a text describes', () => {
    const { status, stdout, stderr } = run('npx', ['--no', 'cosmos-embed', 'search', clips, 'a red circle'])
    expect(`${stdout}${stderr}`).toMatch(/red-circle/)
    expect(status).toBe(0)
  })
})

describe('in TypeScript', () => {
  it.each([
    ['node16', 'node16'],
    ['bundler', 'preserve'],
  ])('has types under moduleResolution %s', (moduleResolution, module) => {
    const config = {
      compilerOptions: {
        module,
        moduleResolution,
        target: 'es2023',
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        types: ['node'],
        typeRoots: [path.join(packed.root, 'node_modules', '@types')],
      },
      files: ['types.mts'],
    }
    writeFileSync(path.join(packed.project, 'tsconfig.json'), JSON.stringify(config))
    const { status, stdout } = run(path.join(packed.root, 'node_modules', '.bin', 'tsc'), ['-p', '.'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  })
})

describe.skipIf(packed.toolsProblem !== '')(`with other tools ${packed.toolsProblem}`, () => {
  it('is bundled by esbuild with the package external', () => {
    const args = [
      'text.mjs',
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--external:cosmos-embed',
      '--outfile=bundle.mjs',
    ]
    const { status, stderr } = run(tool('esbuild', 'bin', 'esbuild'), args)
    expect(status, stderr).toBe(0)
    expect(cosine(result(run(node, ['bundle.mjs'])).vectors[0], reference[2])).toBeCloseTo(1, 5)
  })

  it('tells to make the package external when a bundler included only its JavaScript', () => {
    const args = [
      'failing.mjs',
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--outfile=swallowed/dist/bundle.mjs',
    ]
    const banner =
      "--banner:js=import * as nodeModule from 'node:module'; const require = nodeModule.createRequire(import.meta.url)"
    expect(run(tool('esbuild', 'bin', 'esbuild'), [...args, banner]).status).toBe(0)
    const { status, stdout, stderr } = run(node, ['swallowed/dist/bundle.mjs'])
    expect(`${status} ${stdout}${stderr}`).toMatch(/external/)
  })

  it('works in Bun', () => {
    const { vectors } = result(run(tool('bun', 'bin', 'bun'), ['embed.mjs', ...videos]))
    expect(cosine(vectors[0], reference[0])).toBeCloseTo(1, 5)
  })

  it('works in Deno, with the permissions that docs/frameworks.md names', () => {
    const permissions = ['--no-prompt', '--allow-ffi', '--allow-read', '--allow-env', '--allow-sys']
    const args = ['run', '--node-modules-dir=manual', ...permissions, 'embed.mjs', ...videos]
    const { vectors } = result(run(tool('deno', 'deno'), args))
    expect(cosine(vectors[0], reference[0])).toBeCloseTo(1, 5)
  })
})
