/**
 * The installed package in build tools and frameworks: builds and runs each project in consumers/. The slow ones need
 * COSMOS_EMBED_CONSUMERS=all.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { freePort } from '../docs/snippets.ts'
import { cosine, packed, result, run, videos } from './support.ts'

const node = process.execPath
/** Milliseconds for the first download of a framework. */
const registryTimeoutMs = 600_000
vi.setConfig({ testTimeout: 900_000 })

const all = process.env.COSMOS_EMBED_CONSUMERS === 'all'

let reference: number[]

beforeAll(() => {
  const [vector] = result(run(node, ['text.mjs'])).vectors
  reference = vector as number[]
})

/** Installs a copy of the project with the packed package. Undefined when npm cannot install its dependencies. */
function install(name: string): string | undefined {
  const folder = path.join(path.dirname(packed.project), name)
  cpSync(path.join(packed.root, 'test', 'package', 'consumers', name), folder, { recursive: true })
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  const { status, stderr } = run('npm', args, { cwd: folder, timeout: registryTimeoutMs })
  if (status !== 0) {
    console.log(`${name}: npm ci failed: ${stderr.split('\n')[0]}`)
    return undefined
  }
  // Links the package and its dependencies as npm would, without another request to the registry.
  const [from, to] = [packed.project, folder].map((one) => path.join(one, 'node_modules')) as [string, string]
  for (const dependency of packagesIn(from)) {
    const target = path.join(to, dependency)
    if (existsSync(target)) continue
    mkdirSync(path.dirname(target), { recursive: true })
    expect(run('cp', ['-al', path.join(from, dependency), target]).status).toBe(0)
  }
  return folder
}

function packagesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => {
      if (!name.startsWith('@')) return [name]
      return readdirSync(path.join(folder, name)).map((inner) => path.join(name, inner))
    })
}

function expectReference(vectors: readonly number[][], count: number): void {
  expect(vectors.map((vector) => cosine(vector, reference))).toEqual(
    Array.from({ length: count }, () => expect.closeTo(1, 5)),
  )
}

function succeeds(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr } = run(command, args, { cwd })
  expect(status, `${stdout}${stderr}`).toBe(0)
  return stdout
}

const bin = (folder: string, name: string) => path.join(folder, 'node_modules', '.bin', name)

it('TypeScript compiles to CommonJS, with node10 and node20 resolution', ({ skip }) => {
  const folder = install('commonjs') ?? skip()
  succeeds(bin(folder, 'tsc'), ['-p', '.'], folder)
  expectReference(result(run(node, ['dist/main.js'], { cwd: folder })).vectors, 1)
  succeeds(bin(folder, 'tsc'), ['-p', '.', '--module', 'node20', '--noEmit'], folder)
})

it('Jest runs tests of ES modules and of CommonJS', ({ skip }) => {
  const folder = install('jest') ?? skip()
  const { status, stderr } = run('npm', ['test', '--silent', '--', '--ci'], {
    cwd: folder,
    env: { CLIP: videos[0] as string },
  })
  expect(status, stderr).toBe(0)
  expect(stderr).toMatch(/Tests: +2 passed, 2 total/)
})

it('Vite renders in development and from its bundle', ({ skip }) => {
  const folder = install('vite') ?? skip()
  expectReference(result(run(node, ['main.js'], { cwd: folder })).vectors, 2)
})

it('Nest injects an embedder and serves the routes of the NIM', ({ skip }) => {
  const folder = install('nest') ?? skip()
  succeeds(bin(folder, 'tsc'), ['-p', '.'], folder)
  expectReference(result(run(node, ['dist/main.js'], { cwd: folder })).vectors, 2)
})

describe.skipIf(!all)('the slower ones (COSMOS_EMBED_CONSUMERS=all)', () => {
  it('Next.js answers from the standalone build of examples/next-upload', async ({ skip }) => {
    const folder = install('next') ?? skip()
    const example = path.join(packed.root, 'examples', 'next-upload')
    cpSync(path.join(example, 'app'), path.join(folder, 'app'), { recursive: true })
    cpSync(path.join(example, 'next.config.mjs'), path.join(folder, 'example.config.mjs'))
    // Turns its telemetry off.
    const quiet = { NEXT_TELEMETRY_DISABLED: '1' }
    const { status, stdout, stderr } = run(bin(folder, 'next'), ['build'], {
      cwd: folder,
      env: quiet,
      timeout: registryTimeoutMs,
    })
    expect(status, `${stdout}${stderr}`).toBe(0)
    // Outside the project, so that it cannot use files beside it.
    const alone = path.join(path.dirname(packed.project), 'standalone')
    cpSync(path.join(folder, '.next', 'standalone'), alone, { recursive: true, verbatimSymlinks: true })
    const port = await freePort()
    const server = spawn(node, ['server.js'], {
      cwd: alone,
      env: { ...process.env, ...quiet, PORT: String(port), HOSTNAME: '127.0.0.1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => {
      server.kill()
    })
    let output = ''
    server.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    await expect.poll(() => output).toContain('Ready')
    const body = new FormData()
    const clip = readFileSync(path.join(packed.root, 'examples', 'clips', 'red-circle.mp4'))
    body.set('video', new File([clip], 'clip.mp4'))
    body.set('labels', 'a blue square\na red circle')
    const answer = await fetch(`http://127.0.0.1:${port}/api/embed`, { method: 'POST', body })
    const text = await answer.text()
    expect(answer.status, text).toBe(200)
    const { labels, embedding } = JSON.parse(text)
    expect(labels).toMatchObject([{ label: 'a red circle' }, { label: 'a blue square' }])
    expect(embedding).toHaveLength(reference.length)
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toContain('<form>')
  })

  it('Electron embeds in its main process', ({ skip }) => {
    const folder = install('electron') ?? skip()
    // Downloads the binary, which no npm package contains.
    const download = run(node, ['node_modules/electron/install.js'], { cwd: folder })
    if (download.status !== 0) skip(`Electron cannot be downloaded: ${download.stderr.trim().split('\n')[0]}`)
    const args = ['.', '--no-sandbox', '--disable-gpu', '--ozone-platform=headless']
    expectReference(result(run(bin(folder, 'electron'), args, { cwd: folder })).vectors, 1)
  })
})
