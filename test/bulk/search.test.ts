/** Searches in the indexes that are files: exact, whatever wrote the parts, and while a run goes on. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import {
  type IndexDescription,
  type IndexedItem,
  jsonlSink,
  openIndex,
  parquetSink,
  type VectorSink,
} from '../../src/bulk/index.ts'
import { readRows } from '../../src/bulk/parquet.ts'
import { similarity } from '../../src/index.ts'
import { random } from '../embedder/random.ts'
import { temporaryFolder } from './support.ts'

const DIM = 24
const folder = temporaryFolder()
let names = 0
const fresh = (suffix = '') => path.join(folder, `${++names}${suffix}`)

const description: IndexDescription = {
  version: '0.1.0',
  model: { id: 'double', fingerprint: 'f1', embeddingDim: DIM },
  frameRule: 'card',
  frameTolerance: 0,
  windows: { seconds: 1, stride: 1 },
  columns: { tag: 'string', count: 'int64', good: 'boolean' },
}

const below = random(3)
const vector = () => {
  const values = Float32Array.from({ length: DIM }, () => below(2000) / 1000 - 1)
  const length = Math.hypot(...values)
  return values.map((value) => value / length)
}

const items: IndexedItem[] = Array.from({ length: 400 }, (_, index) => ({
  id: `i${index}`,
  rows: Array.from({ length: 1 + (index % 5) }, (_, window) => ({
    id: `i${index}#t=${window},${window + 1}`,
    uri: index % 7 === 0 ? null : `/videos/ü ${index}.mp4`,
    start: window,
    end: index % 2 === 0 ? null : window + 1,
    embedding: vector(),
    warnings: index % 5 === 0 ? ['media: "damaged"'] : [],
    carried: { tag: `t\n${index}`, count: index === 7 ? `${2n ** 60n}` : index, good: index % 2 === 0 },
  })),
}))
const all = items.flatMap(({ id: item, rows }) => rows.map((row) => ({ ...row, item })))

/** What a search must find: every row compared in double precision. */
const expected = (query: Float32Array, top: number) =>
  all
    .map(({ embedding, ...row }) => ({ ...row, score: similarity(query, embedding) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, top)
    .map(({ score, ...row }) => ({ ...row, score: expect.closeTo(score, 5) }))

async function fill(sink: VectorSink, some: readonly IndexedItem[] = items): Promise<void> {
  await sink.open(description)
  try {
    for (let from = 0; from < some.length; from += 64) await sink.write(some.slice(from, from + 64))
  } finally {
    await sink.close()
  }
}

describe.each([
  ['a folder of Parquet parts', '', (out: string) => parquetSink(out, { partRows: 70 })],
  ['a file of JSON lines', '.jsonl', jsonlSink],
])('%s', (_, suffix, sinkFor) => {
  it('finds the rows that comparing with every vector finds, with all of their columns', async () => {
    const out = fresh(suffix)
    await fill(sinkFor(out))
    await using index = await openIndex(out, { model: description.model })
    expect(index.rows).toBe(all.length)
    expect(index.description).toMatchObject(description)
    const queries = Array.from({ length: 8 }, (_, place) => [vector(), 1 + place * 40] as const)
    const found = await Promise.all(queries.map(([query, top]) => index.search(query, { top })))
    queries.forEach(([query, top], place) => {
      expect(found[place]).toEqual(expected(query, top))
    })
    // The length of the query does not matter.
    const [query] = queries[0] as (typeof queries)[0]
    expect(await index.search(Array.from(query, (value) => 7 * value))).toEqual(expected(query, 10))
    expect(await index.search(query, { top: 5000 })).toHaveLength(all.length)
  })

  it('refuses what cannot be searched', async () => {
    const out = fresh(suffix)
    await expect(openIndex(out)).rejects.toThrow('is not an index that cosmos-embed has written')
    await fill(sinkFor(out), items.slice(0, 3))
    await expect(openIndex(out, { model: { id: 'other', fingerprint: 'f2' } })).rejects.toThrow(
      /vectors of double with the fingerprint f1, but the query's model is other with f2/,
    )
    await expect(openIndex(out, { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop')
    await using index = await openIndex(out)
    for (const [query, options, message] of [
      [new Float32Array(3), {}, 'has 3 numbers, and those of the index have 24'],
      [new Float32Array(DIM), {}, 'has no direction'],
      [new Float32Array(DIM).fill(Number.NaN), {}, 'has no direction'],
      [vector(), { top: 0 }, 'expected a whole number from 1 to 100000, found 0'],
      [vector(), { top: 1.5 }, 'found 1.5'],
    ] as const) {
      await expect(index.search(query, options)).rejects.toThrow(message)
    }
    const signal = AbortSignal.abort(new Error('stop'))
    await expect(index.search(vector(), { signal })).rejects.toThrow('stop')
    rmSync(out, { recursive: true })
    await expect(index.search(vector())).rejects.toMatchObject({ code: 'source' })
  })

  it('is empty before anything is written', async () => {
    const out = fresh(suffix)
    await fill(sinkFor(out), [])
    await using index = await openIndex(out)
    expect(await index.search(vector())).toEqual([])
  })
})

describe('a folder of Parquet parts', () => {
  it('is searched while a run goes on, with the rows that are not in a part yet', async () => {
    const out = fresh()
    const sink = parquetSink(out, { partRows: 1000 })
    await sink.open(description)
    await sink.write(items.slice(0, 350))
    await sink.write(items.slice(350))
    const query = vector()
    await using during = await openIndex(out)
    expect(await during.search(query, { top: 30 })).toEqual(expected(query, 30))
    await sink.close()
    await using after = await openIndex(out)
    expect(await after.search(query, { top: 30 })).toEqual(expected(query, 30))
  })

  it('may have been written again by another program, with compression and other pages', async () => {
    const out = fresh()
    await fill(parquetSink(out, { partRows: 10_000 }))
    const part = path.join(out, 'part-000001.parquet')
    const rows: Record<string, unknown>[] = []
    for await (const row of readRows(part)) rows.push(row)
    const columnData = Object.keys(rows[0] ?? {}).map((name) => ({
      name,
      data: rows.map((row) => row[name]),
      ...(name === 'embedding' && { pageSize: 1000 }),
    }))
    writeFileSync(part, new Uint8Array(parquetWriteBuffer({ columnData, codec: 'SNAPPY' })))
    await using index = await openIndex(out)
    const query = vector()
    const ids = (await index.search(query, { top: 50 })).map(({ id }) => id)
    expect(ids).toEqual(expected(query, 50).map(({ id }) => id))
  })

  it('is refused if a part is damaged or has vectors of another length', async () => {
    const out = fresh()
    await fill(parquetSink(out))
    const part = path.join(out, 'part-000001.parquet')
    const whole = readFileSync(part)
    writeFileSync(part, whole.subarray(0, whole.length / 2))
    await expect(openIndex(out)).rejects.toMatchObject({
      code: 'source',
      message: expect.stringContaining(part),
    })
    writeFileSync(part, whole)
    const file = path.join(out, '_index.json')
    const changed = { ...description, model: { ...description.model, embeddingDim: DIM + 1 } }
    writeFileSync(file, JSON.stringify(changed))
    await expect(openIndex(out)).rejects.toThrow('not every row has a vector of 25 numbers')
    rmSync(file)
    await expect(openIndex(out)).rejects.toThrow('is not an index')
    mkdirSync(fresh())
    renameSync(part, path.join(folder, `${names}`, 'part-000001.parquet'))
    await expect(openIndex(path.join(folder, `${names}`))).rejects.toThrow('is not an index')
  })
})
