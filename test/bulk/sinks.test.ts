import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { parquetMetadataAsync } from 'hyparquet'
import { afterAll, describe, expect, it } from 'vitest'
import { statusOf } from '../../src/bulk/destination.ts'
import {
  type IndexDescription,
  type IndexedItem,
  jsonlSink,
  lanceSink,
  openIndex,
  parquetSink,
  qdrantSink,
  type VectorSink,
} from '../../src/bulk/index.ts'
import { linkLance } from '../adapters/lancedb-install.ts'
import { random } from '../embedder/random.ts'
import { vectorOf } from './double.mjs'
import { hasQdrant, reusedQdrant } from './qdrant-server.ts'
import { storedRows, temporaryFolder } from './support.ts'

const folder = temporaryFolder()
let names = 0
const fresh = (suffix = '') => path.join(folder, `${++names}${suffix}`)

const description: IndexDescription = {
  version: '0.1.0',
  model: { id: 'double', fingerprint: 'f1', embeddingDim: 4 },
  frameRule: 'card',
  frameTolerance: 0,
  windows: null,
  columns: { tag: 'string', count: 'int64', share: 'double', good: 'boolean' },
}

const item = (index: number, rows = 1): IndexedItem => ({
  id: `i${index}`,
  rows: Array.from({ length: rows }, (_, window) => ({
    id: rows === 1 ? `i${index}` : `i${index}#t=${window},${window + 1}`,
    uri: index % 3 === 0 ? null : `/videos/ü ${index}.mp4`,
    start: index % 2 === 0 ? null : window,
    end: index % 2 === 0 ? null : window + 1,
    embedding: vectorOf(`${index} ${window}`),
    warnings: index % 5 === 0 ? ['media: damaged', 'media: "quoted"'] : [],
    carried:
      index % 4 === 0
        ? { tag: null, count: null, share: null, good: null }
        : {
            tag: `t\n${index}`,
            count: index === 7 ? `${2n ** 60n}` : index,
            share: index / 8,
            good: index % 2 === 0,
          },
  })),
})

async function using(
  sink: VectorSink,
  work: (held: string[]) => Promise<void>,
  wanted = description,
): Promise<void> {
  await sink.open(wanted)
  const held: string[] = []
  for await (const id of sink.held()) held.push(id)
  try {
    await work(held)
  } finally {
    await sink.close()
  }
}

const noLance = linkLance()
if (noLance) console.warn(`LanceDB is not tried: ${noLance}`)

const qdrant = hasQdrant ? await reusedQdrant() : undefined
afterAll(() => qdrant?.stop())

describe.each([
  {
    name: 'Parquet parts',
    ...{ missing: false, where: () => fresh(), shares: false },
    sinkFor: (out: string) => parquetSink(out, { partRows: 10 }),
  },
  {
    name: 'JSON lines',
    ...{ missing: false, where: () => fresh('.jsonl'), shares: false },
    sinkFor: (out: string) => jsonlSink(out),
  },
  {
    name: 'LanceDB',
    ...{ missing: noLance !== undefined, where: () => fresh('.lance'), shares: false },
    sinkFor: (out: string) => lanceSink(out, 'cosmos_embed', { partRows: 10 }),
  },
  {
    name: 'Qdrant',
    ...{ missing: !hasQdrant, where: () => qdrant?.empty() ?? '', shares: true },
    sinkFor: (out: string) => qdrantSink(out, 'cosmos_embed'),
  },
])('$name', ({ missing, where, shares, sinkFor }) => {
  it.skipIf(missing)('stores every value', async () => {
    const out = await where()
    await using(sinkFor(out), async (held) => expect(held).toEqual([]))
    const sink = sinkFor(out)
    await using(sink, async () => {
      // More rows than a part, and fewer.
      await sink.write(Array.from({ length: 25 }, (_, index) => item(index)))
      await sink.write([item(25)])
    })
    const rows = await storedRows(out)
    expect(rows.length).toBe(26)
    for (const row of rows) {
      const index = Number(row.id.slice(1))
      const [{ carried, embedding, ...rest }] = item(index).rows as [IndexedItem['rows'][number]]
      const { tag, count, share, good } = carried
      const { count: storedCount, embedding: stored, item: _, ...other } = row
      expect(other).toEqual({ ...rest, tag, share, good })
      expect(Float32Array.from(stored)).toEqual(embedding)
      expect(storedCount === null ? null : `${storedCount}`).toBe(count === null ? null : `${count}`)
    }
    expect(await statusOf(out)).toMatchObject({ rows: 26, waiting: 0, failures: [], description })
  })

  it.skipIf(missing)('lists the stored items, with windows by their item', async () => {
    const out = await where()
    const windowed = { ...description, windows: { seconds: 1, stride: 1 } }
    const below = random(5)
    let index = 0
    for (let run = 0; run < 4; run++) {
      const sink = sinkFor(out)
      await using(
        sink,
        async (held) => {
          expect(held.sort()).toEqual(Array.from({ length: index }, (_, at) => `i${at}`).sort())
          for (let batch = below(4); batch > 0; batch--) {
            const items = Array.from({ length: 1 + below(5) }, () => item(index++, 2 + below(6)))
            await sink.write(items)
          }
        },
        windowed,
      )
    }
    const ids = (await storedRows(out)).map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it.skipIf(missing)('refuses vectors that do not compare, and a second writer of files', async () => {
    const out = await where()
    await using(sinkFor(out), async () => {
      const second = sinkFor(out).open(description)
      if (shares) await second
      else await expect(second).rejects.toThrow('another process is writing')
    })
    const { model } = description
    for (const [change, message] of [
      [
        { model: { ...model, fingerprint: 'f2' } },
        /model is double with the fingerprint f1, but this run has .*f2/,
      ],
      [{ frameRule: 'curator' }, /frame rule is card, but this run has curator/],
      [{ frameTolerance: 1 }, /frame tolerance/],
      [{ windows: { seconds: 8, stride: 4 } }, /windows is none, but this run has 8 s every 4 s/],
      [{ columns: { tag: 'string', more: 'string' } }, /no column "more"/],
      [{ columns: { count: 'double' } }, /"count" as int64, but this run has double/],
    ] as [Partial<IndexDescription>, RegExp][]) {
      await expect(sinkFor(out).open({ ...description, ...change })).rejects.toThrow(message)
    }
    await using(sinkFor(out), async () => {}, { ...description, version: '9.9.9', columns: {} })
  })

  it.skipIf(missing)('finds what it stores', async () => {
    const out = await where()
    const items = Array.from({ length: 25 }, (_, index) => item(index))
    const sink = sinkFor(out)
    await using(sink, () => sink.write(items))
    await using index = await openIndex(out, { model: description.model })
    expect(index).toMatchObject({ rows: 25, description })
    const query = vectorOf('a query')
    const hits = await index.search(query, { top: 25 })
    const rows = items.flatMap(({ id, rows }) => rows.map((row) => ({ ...row, item: id })))
    const scored = rows.map(({ embedding, ...row }) => ({
      ...row,
      score: dot(query, embedding) / Math.hypot(...query),
    }))
    const byScore = scored.sort((a, b) => b.score - a.score)
    expect(hits).toEqual(byScore.map((row) => ({ ...row, score: expect.closeTo(row.score, 4) })))
    expect(await index.search(query, { top: 3 })).toEqual(hits.slice(0, 3))
  })
})

/** The vectors of these tests have no unit length, so their scores are no cosines. */
function dot(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, place) => sum + value * (other[place] as number), 0)
}

describe('a folder of Parquet parts', () => {
  const writeThenCrash = async (out: string, items: IndexedItem[]) => {
    // Not closed, as after a crash. The kernel would release the lock with the process.
    const sink = parquetSink(out, { partRows: 10 })
    await sink.open(description)
    await sink.write(items)
    return sink
  }

  it('recovers from a journal, from a part whose journal still exists, and from an incomplete part', async () => {
    const out = fresh()
    const crashed = await writeThenCrash(
      out,
      Array.from({ length: 4 }, (_, index) => item(index)),
    )
    const tail = path.join(out, '_tail-000001.jsonl')
    const kept = readFileSync(tail)
    expect((await statusOf(out))?.waiting).toBe(4)
    await crashed.close()
    // The part was written but its journal not yet removed; the next part and the next journal line are incomplete.
    writeFileSync(tail, kept)
    writeFileSync(path.join(out, 'part-000002.parquet.partial'), 'PAR1')
    writeFileSync(path.join(out, '_tail-000002.jsonl'), '{"id":"i9","ro')
    const sink = parquetSink(out, { partRows: 10 })
    await using(sink, async (held) => {
      expect(held.sort()).toEqual(['i0', 'i1', 'i2', 'i3'])
      await sink.write([item(4)])
    })
    expect((await storedRows(out)).map(({ id }) => id).sort()).toEqual(['i0', 'i1', 'i2', 'i3', 'i4'])
    expect(readdirSync(out).sort()).toEqual(['_index.json', 'part-000001.parquet', 'part-000002.parquet'])
  })

  it('is filled by several shards at once; a journal of another division is not lost', async () => {
    const out = fresh()
    const sinks = [0, 1].map((index) => parquetSink(out, { partRows: 10, shard: { index, count: 2 } }))
    await Promise.all(sinks.map((sink) => sink.open(description)))
    await Promise.all(sinks.map((sink, index) => sink.write([item(index)])))
    await expect(parquetSink(out).open(description)).rejects.toThrow(/left by a run with --shard \d\/2/)
    await Promise.all(sinks.map((sink) => sink.close()))
    await using(parquetSink(out), async (held) => expect(held.sort()).toEqual(['i0', 'i1']))
  })

  it('describes its vectors, and refuses a folder that is not an index', async () => {
    const out = fresh()
    const sink = parquetSink(out)
    await using(sink, () => sink.write([item(1)]))
    const bytes = readFileSync(path.join(out, 'part-000001.parquet'))
    const buffer = new Uint8Array(bytes).buffer
    const { key_value_metadata } = await parquetMetadataAsync({
      byteLength: buffer.byteLength,
      slice: (start, end) => buffer.slice(start, end),
    })
    const told = Object.fromEntries((key_value_metadata ?? []).map(({ key, value }) => [key, value]))
    expect(told).toMatchObject({
      'cosmos_embed.model': 'double',
      'cosmos_embed.fingerprint': 'f1',
      'cosmos_embed.frame_rule': 'card',
      'cosmos_embed.version': '0.1.0',
    })
    const foreign = fresh()
    mkdirSync(foreign)
    writeFileSync(path.join(foreign, 'part-000001.parquet'), bytes)
    await expect(parquetSink(foreign).open(description)).rejects.toThrow('no _index.json')
    writeFileSync(path.join(foreign, '_index.json'), '{"version":')
    await expect(parquetSink(foreign).open(description)).rejects.toMatchObject({ code: 'source' })
  })

  const hasReaders = spawnSync('python3', ['-c', 'import pyarrow, duckdb, polars']).status === 0
  if (!hasReaders)
    console.warn('other readers of Parquet are not tried: python3 has no pyarrow, duckdb and polars')
  it.skipIf(!hasReaders)(
    'are read by pyarrow, DuckDB and Polars',
    async () => {
      const out = fresh()
      const sink = parquetSink(out, { partRows: 10 })
      await using(sink, () => sink.write(Array.from({ length: 25 }, (_, index) => item(index))))
      const program = `
import json, sys, pyarrow.dataset, duckdb, polars
folder = sys.argv[1]
table = pyarrow.dataset.dataset(folder, format="parquet").to_table()
row = next(row for row in table.to_pylist() if row["id"] == "i5")
duck = duckdb.sql(f"select count(*), min(len(embedding)), sum(count) from '{folder}/*.parquet'").fetchall()[0]
frame = polars.read_parquet(folder + "/*.parquet")
print(json.dumps([table.num_rows, row, str(table.schema.field("embedding").type), list(map(int, duck)), frame.height]))`
      const { stdout, stderr } = spawnSync('python3', ['-c', program, out], { encoding: 'utf8' })
      expect(stderr).toBe('')
      const [count, row, type, duck, height] = JSON.parse(stdout)
      expect([count, type, height]).toEqual([25, 'list<element: float not null>', 25])
      expect(row).toMatchObject({ tag: 't\n5', count: 5, warnings: ['media: damaged', 'media: "quoted"'] })
      expect(Float32Array.from(row.embedding)).toEqual(vectorOf('5 0'))
      expect(duck.slice(0, 2)).toEqual([25, 4])
    },
    180_000,
  )
})

describe('a file of JSON lines', () => {
  it('truncates what a crash left, and refuses a file that lost rows or is not an index', async () => {
    const out = fresh('.jsonl')
    const sink = jsonlSink(out)
    await using(sink, () => sink.write([item(1), item(2)]))
    const whole = readFileSync(out, 'utf8')
    appendFileSync(out, `${JSON.stringify({ id: 'i3' })}\n{"id":`)
    await using(jsonlSink(out), async (held) => expect(held).toEqual(['i1', 'i2']))
    expect(readFileSync(out, 'utf8')).toBe(whole)
    truncateSync(out, whole.length - 5)
    await expect(jsonlSink(out).open(description)).rejects.toThrow('rows are missing')
    const foreign = fresh('.jsonl')
    writeFileSync(foreign, '{"mine":1}\n')
    await expect(jsonlSink(foreign).open(description)).rejects.toThrow(
      'was not written by cosmos-embed index',
    )
    expect(readFileSync(foreign, 'utf8')).toBe('{"mine":1}\n')
    await expect(jsonlSink(path.join(folder, 'no', 'x.jsonl')).open(description)).rejects.toMatchObject({
      code: 'source',
    })
    expect(existsSync(`${foreign}.index.json`)).toBe(false)
  })
})
