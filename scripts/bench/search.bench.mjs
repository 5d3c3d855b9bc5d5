// npm run bench search: opens an index of Parquet parts and searches it, by the number of vectors.

import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { openIndex, parquetSink } from '../../dist/bulk/index.js'
import { median, percentile, report, round } from './report.mjs'

const PART_ROWS = 10_000

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      counts: { type: 'string', default: '100000,1000000' },
      dimension: { type: 'string', default: '256' },
      top: { type: 'string', default: '20' },
      searches: { type: 'string', default: '30' },
    },
  })
  const [dimension, top, searches] = [values.dimension, values.top, values.searches].map(Number)
  const folder = await mkdtemp(path.join(tmpdir(), 'cosmos-embed-bench-search-'))
  try {
    await writePart(folder, dimension)
    const rows = []
    let parts = 1
    for (const count of values.counts.split(',').map(Number)) {
      for (; parts * PART_ROWS < count; parts++) {
        await copyFile(path.join(folder, partName(1)), path.join(folder, partName(parts + 1)))
      }
      rows.push(await measured(folder, dimension, top, searches))
    }
    report('search', rows, { dimension, top, searches })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measured(folder, dimension, top, searches) {
  const before = process.memoryUsage().rss
  const opening = performance.now()
  const index = await openIndex(folder)
  const openSeconds = (performance.now() - opening) / 1000
  const memory = process.memoryUsage().rss - before
  const times = []
  const cpuBefore = process.cpuUsage()
  for (let search = 0; search < searches; search++) {
    const query = unitVector(dimension)
    const started = performance.now()
    await index.search(query, { top })
    times.push(performance.now() - started)
  }
  const { user, system } = process.cpuUsage(cpuBefore)
  await index.close()
  return {
    vectors: index.rows,
    'open s': round(openSeconds, 1),
    'memory MiB': Math.round(memory / 2 ** 20),
    'vectors MiB': Math.round((4 * index.rows * dimension) / 2 ** 20),
    'search ms, median': round(median(times), 1),
    p90: round(percentile(times, 0.9), 1),
    'CPU ms': round((user + system) / 1000 / searches, 1),
  }
}

/** One part, whose copies are the others: what a search costs does not depend on the vectors. */
async function writePart(folder, dimension) {
  const sink = parquetSink(folder, { partRows: PART_ROWS })
  await sink.open({
    version: '0',
    model: { id: 'random', fingerprint: 'random', embeddingDim: dimension },
    frameRule: 'card',
    frameTolerance: 0,
    windows: null,
    columns: {},
  })
  for (let from = 0; from < PART_ROWS; from += 100) {
    await sink.write(Array.from({ length: 100 }, (_, place) => itemAt(from + place, dimension)))
  }
  await sink.close()
}

function itemAt(index, dimension) {
  const id = `/videos/clip-${index}.mp4`
  const row = { id, uri: id, start: 0, end: null, warnings: [], carried: {} }
  return { id, rows: [{ ...row, embedding: unitVector(dimension) }] }
}

function unitVector(dimension) {
  const values = Float32Array.from({ length: dimension }, () => Math.random() - 0.5)
  const length = Math.hypot(...values)
  return values.map((value) => value / length)
}

function partName(number) {
  return `part-${String(number).padStart(6, '0')}.parquet`
}
