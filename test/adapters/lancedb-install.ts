/**
 * Installs LanceDB, 190 MB, once, beside the other tools. As a development dependency of this package it would bring a
 * second ONNX Runtime into every checkout.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.cache/lancedb', import.meta.url))
const manifest = fileURLToPath(new URL('lancedb/package.json', import.meta.url))

/** The parts of LanceDB and Arrow that the tests use. Their own types are not installed in the checkout. */
export interface Lance {
  connect(folder: string): Promise<Database>
  embedding: {
    EmbeddingFunction: { prototype: Fields }
    TextEmbeddingFunction: { prototype: Fields }
    register(name?: string): (made: never) => unknown
    LanceSchema(fields: Record<string, unknown>): object
  }
  arrow: { Utf8: new () => object; Binary: new () => object }
}

export interface Fields {
  sourceField(type?: object): unknown
  vectorField(): unknown
  computeSourceEmbeddings(rows: unknown[]): Promise<Float32Array[]>
  computeQueryEmbeddings(query: unknown): Promise<Float32Array>
}

interface Database {
  createEmptyTable(name: string, schema: object): Promise<Table>
  createTable(name: string, rows: object[], options?: object): Promise<Table>
  openTable(name: string): Promise<Table>
}

interface Table {
  add(rows: object[]): Promise<unknown>
  search(query: string | Uint8Array): {
    limit(count: number): { toArray(): Promise<Record<string, unknown>[]> }
  }
}

/** For Vitest, before all tests of a run. */
export function setup(): void {
  linkLance()
}

/**
 * Installs LanceDB so that the package finds it as an optional dependency, also in child processes. Returns the reason why
 * it cannot be installed here.
 */
export function linkLance(): string | undefined {
  const found = lance()
  if (typeof found === 'string') return found
  const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url))
  for (const name of ['@lancedb', 'apache-arrow']) {
    try {
      symlinkSync(path.join(folder, 'node_modules', name), path.join(modules, name))
    } catch (failure) {
      if ((failure as NodeJS.ErrnoException).code !== 'EEXIST') throw failure
    }
  }
  return undefined
}

/** LanceDB, or the reason why it cannot be installed here. */
export function lance(): Lance | string {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return 'its package for this machine is not in the list'
  const require = createRequire(path.join(folder, 'package.json'))
  const load = (): Lance => ({
    connect: require('@lancedb/lancedb').connect,
    embedding: require('@lancedb/lancedb/embedding'),
    arrow: require('apache-arrow'),
  })
  mkdirSync(folder, { recursive: true })
  cpSync(manifest, path.join(folder, 'package.json'))
  // Several test files may come here at once.
  const flags = '--omit=optional --ignore-scripts --prefer-offline --no-package-lock --no-audit --no-fund'
  const install = `test -e installed || (npm install ${flags} && touch installed)`
  try {
    execFileSync('flock', ['lock', 'sh', '-c', install], { cwd: folder, stdio: 'pipe', timeout: 300_000 })
  } catch {
    return 'npm could not install it'
  }
  return load()
}
