// Measures what the formulas need and a small machine can tell: bytes of a row in Parquet, and of a job in Redis.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Rows in the shape of a real index: paths of 60 characters, 256 numbers, no further columns. */
const row = (number) => ({
  id: `/datasets/library/clips/${`${number}`.padStart(12, '0')}-0001-00015.mp4`,
  video: `/datasets/library/clips/${`${number}`.padStart(12, '0')}-0001-00015.mp4`,
})

/** @type {any} as much of an embedder as an index asks for */
const embedder = {
  info: () => ({
    model: { id: 'measured', fingerprint: 'measured', embeddingDim: 256, frameRule: 'card' },
    limits: { decodeConcurrency: 2 },
  }),
  embedVideo: async () => ({
    embedding: Float32Array.from({ length: 256 }, Math.random),
    warnings: [],
    media: { bytesRead: 0 },
  }),
}

async function sourceOf(count) {
  const { planRow } = await import('../../dist/bulk/planned-item.js')
  return {
    name: 'rows',
    async *items() {
      for (let number = 0; number < count; number++) yield planRow(row(number), '.', `${number}`)
    },
  }
}

/** Bytes per row of a Parquet part with `rows` rows. */
export async function measureRow(rows) {
  const { buildIndex, parquetSink } = await import('../../dist/bulk/index.js')
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-scale-'))
  try {
    await buildIndex(embedder, [await sourceOf(rows)], parquetSink(folder))
    const parts = readdirSync(folder).filter((file) => file.endsWith('.parquet'))
    return parts.reduce((sum, file) => sum + statSync(path.join(folder, file)).size, 0) / rows
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Bytes that a job of `jobItems` items takes in Redis, and jobs per second of one producer. Undefined without redis-server. */
export async function measureJob(jobItems, jobs) {
  if (spawnSync('redis-server', ['--version']).status !== 0) return undefined
  const { enqueueIndex } = await import('../../dist/queue/index.js')
  const { Redis } = await import('ioredis')
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-scale-'))
  const port = await freePort()
  const server = spawn('redis-server', ['--port', `${port}`, '--dir', folder, '--save', ''], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    for await (const text of server.stdout.setEncoding('utf8')) if (text.includes('Ready')) break
    const redis = new Redis(port)
    const used = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))[1])
    const queue = { url: `redis://127.0.0.1:${port}` }
    const out = path.join(folder, 'index')
    await enqueueIndex([await sourceOf(1)], { queue, out })
    const before = await used()
    const began = performance.now()
    await enqueueIndex([await sourceOf(jobs * jobItems)], { queue, out, jobItems })
    const seconds = (performance.now() - began) / 1000
    const bytes = (await used()) - before
    redis.disconnect()
    return { bytes: bytes / jobs, perSecond: jobs / seconds }
  } finally {
    server.kill()
    await once(server, 'exit')
    rmSync(folder, { recursive: true })
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
      server.close(() => resolve(port))
    })
  })
}
