/** The recipes of docs/guides/vector-databases.md fill and search their databases. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import { hasQdrant, startQdrant } from '../bulk/qdrant-server.ts'
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

const hasMilvus = spawnSync('python3', ['-c', 'import milvus_lite, pymilvus']).status === 0
if (!hasMilvus) console.warn('Milvus Lite is not tried: python3 has no milvus-lite and pymilvus')

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

/** Runs the program twice on one server. Milvus accepts the same collection again, the others refuse it. */
async function storesAndFinds(name: Database, server: string): Promise<void> {
  const { code, documented, second } = databases[name]
  const program = code.replaceAll(documented, server)
  expect(program).not.toBe(code)
  expect(await run(name, program)).toEqual(found)
  if (second === undefined) expect(await run(name, program)).toEqual(found)
  else await expect(run(name, program)).rejects.toThrow(second)
}

const databases = {
  qdrant: { code: qdrantCode, double: qdrant, documented: 'localhost:6333', second: /exists/ },
  milvus: { code: milvusCode, double: milvus, documented: 'localhost:19530', second: undefined },
  elasticsearch: {
    ...{ code: elasticCode, double: elasticsearch },
    ...{ documented: 'localhost:9200', second: /it exists/ },
  },
}
type Database = keyof typeof databases

it.each(Object.keys(databases) as Database[])(
  '%s, against a double, stores and finds, and a second run is accepted or refused',
  async (name) => {
    await storesAndFinds(name, await at(databases[name].double()))
  },
)

it.skipIf(!hasQdrant)('qdrant, against the engine of its Python client', { timeout: 60_000 }, async () => {
  const server = await startQdrant()
  onTestFinished(() => server.stop())
  await storesAndFinds('qdrant', server.url.replace('qdrant://', ''))
})

it.skipIf(!hasMilvus)('milvus, against Milvus Lite', { timeout: 180_000 }, async () => {
  const data = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-milvus-'))
  const server = spawn('python3', [path.join(import.meta.dirname, 'milvus_server.py'), data], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const ended = once(server, 'exit')
  onTestFinished(async () => {
    server.stdin.end()
    await ended
    rmSync(data, { recursive: true })
  })
  const [port] = await Promise.race([once(server.stdout, 'data'), ended])
  await storesAndFinds('milvus', `127.0.0.1:${`${port}`.trim()}`)
})

it.skipIf(Number.parseInt(process.versions.node, 10) < 22)(
  'sqlite-vec, itself, stores, replaces and finds (needs Node.js 22)',
  async () => {
    expect(await run('sqlite', sqliteCode)).toEqual(found)
    expect(await run('sqlite', sqliteCode)).toEqual(found)
  },
)
