/** The sink and the search with Qdrant. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { QdrantClient } from '@qdrant/js-client-rest'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { statusOf } from '../../src/bulk/destination.ts'
import {
  buildIndex,
  type IndexDescription,
  type IndexedItem,
  openIndex,
  openSources,
  qdrantSink,
} from '../../src/bulk/index.ts'
import { pointId } from '../../src/bulk/qdrant.ts'
import { run } from '../cli/support.ts'
import { doubleEmbedder, vectorOf } from './double.mjs'
import { hasQdrant, type QdrantServer, startQdrant } from './qdrant-server.ts'
import { temporaryFolder } from './support.ts'

const folder = temporaryFolder()
// Where the commands write their lists of failures.
process.chdir(folder)
let server: QdrantServer
beforeAll(async () => {
  if (hasQdrant) server = await startQdrant()
})
afterAll(() => server?.stop())

const manifest = (name: string, rows: object[]) => {
  const file = path.join(folder, name)
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}
const client = () =>
  new QdrantClient({ url: server.url.replace('qdrant', 'http'), checkCompatibility: false })

const description: IndexDescription = {
  ...{ version: '0', frameRule: 'card', frameTolerance: 0, columns: {} },
  windows: { seconds: 1, stride: 1 },
  model: { id: 'm', fingerprint: 'f', embeddingDim: 4 },
}
const windowsOf = (id: string, count: number): IndexedItem => ({
  id,
  rows: Array.from({ length: count }, (_, window) => ({
    ...{ id: `${id}#t=${window},${window + 1}`, uri: null, start: window, end: window + 1 },
    ...{ warnings: ['media: a', 'media: "b"'], carried: {}, embedding: vectorOf(`${id} ${window}`) },
  })),
})
async function heldBy(sink: ReturnType<typeof qdrantSink>): Promise<string[]> {
  const held: string[] = []
  for await (const id of sink.held()) held.push(id)
  return held.sort()
}

describe.skipIf(!hasQdrant)('Qdrant', { timeout: 180_000 }, () => {
  it('finds every row with its columns, resumes, and tells its status', async () => {
    const rows = Array.from({ length: 150 }, (_, index) => ({
      id: `i${index}`,
      video: `/v/${index}.mp4`,
      tag: index % 2 === 0 ? null : `"it's" \\ ü\n${index}`,
      count: index === 7 ? null : index,
      good: index % 2 === 0,
    }))
    await using opened = await openSources([manifest('list.jsonl', rows)])
    const build = () => buildIndex(doubleEmbedder(), opened.sources, qdrantSink(server.url, 'clips'))
    expect(await build()).toMatchObject({ embedded: 150, failed: 0 })
    expect(await build()).toMatchObject({ embedded: 0, skipped: 150 })
    await using index = await openIndex(server.url, { table: 'clips' })
    expect(index.rows).toBe(150)
    const [query] = [vectorOf('/v/9.mp4')]
    const hits = await index.search(query, { top: 150 })
    expect(hits.map(({ id }) => id).sort()).toEqual(rows.map(({ id }) => id).sort())
    const length = Math.hypot(...query)
    for (const { score, carried, ...hit } of hits) {
      const { id, video, ...further } = rows[Number(hit.id.slice(1))] as (typeof rows)[number]
      expect(hit).toEqual({ id, item: id, uri: video, start: 0, end: null, warnings: [] })
      expect(carried).toEqual(further)
      const dot = vectorOf(video).reduce((sum, value, place) => sum + value * (query[place] as number), 0)
      expect(score).toBeCloseTo(dot / length, 4)
    }
    expect(hits.map(({ score }) => score)).toEqual(hits.map(({ score }) => score).sort((a, b) => b - a))
    expect(await statusOf(server.url, { table: 'clips' })).toMatchObject({
      rows: 150,
      description: { model: { id: 'double' } },
    })
  })

  it('replaces the rows of an item, and does not hold one whose rows are incomplete', async () => {
    const sink = qdrantSink(server.url, 'windows')
    await sink.open(description)
    await sink.write([windowsOf('a', 3), windowsOf('b', 2)])
    await sink.write([windowsOf('a', 2), windowsOf('c', 1)])
    expect(await heldBy(sink)).toEqual(['a', 'b', 'c'])
    expect(await client().count('windows')).toMatchObject({ count: 5 })
    // As after a crash of the server between two requests.
    const [point] = (
      await client().scroll('windows', {
        limit: 1,
        filter: { must: [{ key: 'item', match: { value: 'b' } }] },
      })
    ).points
    await client().batchUpdate('windows', { operations: [{ delete: { points: [point?.id as string] } }] })
    expect(await heldBy(sink)).toEqual(['a', 'c'])
    await sink.write([windowsOf('b', 2)])
    expect(await heldBy(sink)).toEqual(['a', 'b', 'c'])
    await sink.close()
    await expect(sink.write([])).rejects.toThrow('before open() or after close()')
  })

  it('writes more rows than one request takes', async () => {
    const model = { ...description.model, embeddingDim: 60_000 }
    const sink = qdrantSink(server.url, 'large')
    await sink.open({ ...description, model })
    const long = windowsOf('long', 9)
    await sink.write([
      { ...long, rows: long.rows.map((row) => ({ ...row, embedding: new Float32Array(60_000).fill(0.1) })) },
    ])
    expect(await heldBy(sink)).toEqual(['long'])
    await sink.close()
  })

  it('gives points the version 5 UUIDs of the rows, which other programs can compute', () => {
    // python3: uuid.uuid5(uuid.UUID('c610767b-5a4c-497f-a079-4ceb9029cd65'), 'ü #t=1,2')
    expect(pointId('ü #t=1,2')).toBe('f65195f9-df1b-580f-a00f-c74a1b1135da')
  })

  it('is filled by several processes that start at once', async () => {
    const rows = Array.from({ length: 90 }, (_, index) => ({ id: `s${index}`, text: `text ${index}` }))
    await using opened = await openSources([manifest('shards.jsonl', rows)])
    const shards = [0, 1, 2].map((index) => ({ index, count: 3 }))
    const tallies = await Promise.all(
      shards.map((shard) =>
        buildIndex(doubleEmbedder(), opened.sources, qdrantSink(server.url, 'shared'), { shard }),
      ),
    )
    expect(tallies.reduce((sum, { embedded }) => sum + embedded, 0)).toBe(90)
    expect(await client().count('shared')).toMatchObject({ count: 90 })
  })

  it('refuses foreign collections, other vectors, servers that are old, unreachable or closed, and secrets in URLs', async () => {
    await client().createCollection('foreign', { vectors: { size: 4, distance: 'Dot' } })
    const open = (url: string, name: string, changes: Partial<IndexDescription> = {}) =>
      qdrantSink(url, name).open({ ...description, ...changes })
    await expect(open(server.url, 'foreign')).rejects.toThrow('was not made by cosmos-embed index')
    await open(server.url, 'mine')
    const model = { ...description.model, fingerprint: 'f2' }
    await expect(open(server.url, 'mine', { model })).rejects.toThrow('holds other vectors')
    await expect(open(server.url, 'new', { columns: { item_rows: 'int64' } })).rejects.toThrow(
      'give it another one',
    )
    await expect(openIndex(server.url, { table: 'mine', model })).rejects.toThrow(
      "but the query's model is m with f2",
    )
    await expect(openIndex(server.url, { table: 'none' })).rejects.toThrow('is not an index')
    await expect(open('qdrant://127.0.0.1:1', 'x')).rejects.toMatchObject({ code: 'source' })
    await expect(open('qdrant://u:secret@127.0.0.1', 'x')).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.not.stringContaining('secret'),
    })
    const closed = await startQdrant({ apiKey: 'k', old: true })
    await expect(open(closed.url, 'x')).rejects.toThrow('API key')
    vi.stubEnv('QDRANT_API_KEY', 'k')
    await expect(open(closed.url, 'x')).rejects.toThrow('it must be 1.16 or newer')
    vi.unstubAllEnvs()
    await closed.stop()
  })

  it('is a destination of the commands index and search', async () => {
    const file = manifest('texts.jsonl', [
      { id: 't', text: 'a red circle' },
      { id: 'u', text: 'a blue square' },
    ])
    const out = ['--table', 'texts']
    expect((await run(['index', file, '--out', server.url, ...out, '--dry-run'])).stdout).toContain(
      'collection texts, which is new',
    )
    const { code, stderr } = await run(['index', file, '--out', server.url, ...out])
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/collection texts: .*2 embedded/),
    })
    expect((await run(['index', 'status', server.url, ...out])).stdout).toMatch(/vectors +2\n/)
    const found = await run(['search', server.url, 'a red circle', ...out])
    expect(found.stdout).toMatch(/among 2 vectors\n1 +1\.000 +t\n2 +-?0\.\d+ +u\n/)
  })
})
