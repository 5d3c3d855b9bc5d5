/** The recipes of docs/guides/vector-databases.md fill and search their databases. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Double, elasticsearch, milvus, qdrant, serveDatabase } from './database-doubles.ts'
import { ends, prepare, snippets } from './snippets.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-recipes-'))
mkdirSync(path.join(folder, 'node_modules'))
symlinkSync(root, path.join(folder, 'node_modules', 'cosmos-embed'))
symlinkSync(path.join(root, 'node_modules', 'sqlite-vec'), path.join(folder, 'node_modules', 'sqlite-vec'))
prepare(folder)
afterAll(() => rmSync(folder, { recursive: true }))

const [qdrantCode, milvusCode, elasticCode, sqliteCode] = snippets()
  .filter(({ name }) => name.includes('vector-databases'))
  .map(({ code }) => code) as [string, string, string, string]

/** Runs the program. Returns its lines. */
async function run(name: string, code: string): Promise<string[]> {
  const file = path.join(folder, `${name}.mjs`)
  writeFileSync(file, code)
  const output = await ends(process.execPath, ['--no-warnings', file], folder)
  return output.trim().split('\n')
}

/** `clips/a.mp4` shows a red circle that moves left, `clips/b.webm` a blue circle. */
const found = [
  expect.stringMatching(/^0\.\d{3} clips\/a\.mp4$/),
  expect.stringMatching(/^-?0\.\d{3} clips\/b\.webm$/),
]

async function at(double: Double): Promise<string> {
  const server = serveDatabase(double).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe.each([
  ['qdrant', qdrantCode, qdrant, 'localhost:6333'],
  ['milvus', milvusCode, milvus, 'localhost:19530'],
  ['elasticsearch', elasticCode, elasticsearch, 'localhost:9200'],
] as const)('%s, against a double', (name, code, double, documented) => {
  it('stores and finds, and says why a second collection is refused', async () => {
    const server = await at(double())
    const program = code.replaceAll(documented, server)
    expect(program).not.toBe(code)
    expect(await run(name, program)).toEqual(found)
    await expect(run(name, program)).rejects.toThrow('it exists')
  })
})

it.skipIf(Number.parseInt(process.versions.node, 10) < 22)(
  'sqlite-vec, itself, stores, replaces and finds (needs Node.js 22)',
  async () => {
    expect(await run('sqlite', sqliteCode)).toEqual(found)
    expect(await run('sqlite', sqliteCode)).toEqual(found)
  },
)
