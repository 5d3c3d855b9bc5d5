/** The global setup of the package tests: installs the package, as npm packs it, into an empty folder. */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))

export interface Packed {
  root: string
  /** Path of the .tgz file. */
  tarball: string
  packedBytes: number
  unpackedBytes: number
  files: string[]
  /** A project that contains only the package and the scripts of consumers/. */
  project: string
  /** A folder that is kept between runs. */
  cache: string
  /** The node_modules of tools/package.json. */
  tools: string
  /** Why the tools could not be installed; empty if they were. */
  toolsProblem: string
}

declare module 'vitest' {
  interface ProvidedContext {
    packed: Packed
  }
}

export default function setup(project: TestProject): () => void {
  if (!existsSync(path.join(root, 'prebuilds', `linux-${process.arch}`, 'build.json'))) {
    throw new Error('there is no prebuild for this machine; make it with "npm run prebuild"')
  }
  const cache = path.join(root, '.cache', 'package-test')
  // Outside this checkout: Node.js would otherwise search its node_modules.
  const work = mkdtempSync(path.join(tmpdir(), 'cosmos-package-'))
  const consumer = path.join(work, 'project')
  for (const folder of [path.join(cache, 'tools'), consumer]) mkdirSync(folder, { recursive: true })

  const [report] = JSON.parse(npm(['pack', '--ignore-scripts', '--json', '--pack-destination', work], root))
  const tarball = path.join(work, report.filename)

  writeFileSync(path.join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
  npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], consumer)
  // The published package contains x64 only. Other platforms unpack an archive of the release into it, as done here.
  const own = path.join('prebuilds', `linux-${process.arch}`)
  cpSync(path.join(root, own), path.join(consumer, 'node_modules', 'cosmos-embed', own), { recursive: true })
  // Folders are separate projects, which frameworks.test.ts installs.
  for (const entry of readdirSync(path.join(here, 'consumers'), { withFileTypes: true })) {
    if (entry.isFile())
      copyFileSync(path.join(here, 'consumers', entry.name), path.join(consumer, entry.name))
  }

  project.provide('packed', {
    root,
    tarball,
    packedBytes: report.size,
    unpackedBytes: report.unpackedSize,
    files: report.files.map((file: { path: string }) => file.path),
    project: consumer,
    cache,
    tools: path.join(cache, 'tools', 'node_modules'),
    toolsProblem: installTools(path.join(cache, 'tools')),
  })
  return () => rmSync(work, { recursive: true, force: true })
}

/** Installs other runtimes and a bundler. Returns why that failed, or ''; tests that need them are then skipped. */
function installTools(folder: string): string {
  cpSync(path.join(here, 'tools'), folder, { recursive: true })
  try {
    npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], folder)
    return ''
  } catch (error) {
    return `npm ci failed: ${String((error as { stderr?: unknown }).stderr).split('\n')[0]}`
  }
}

function npm(args: string[], cwd: string): string {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  })
}
