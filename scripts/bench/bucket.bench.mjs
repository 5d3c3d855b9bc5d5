// npm run bench bucket: a bucket of clips becomes an index, as a user would make it, with processes that are killed.
//
// Twice: a queue and two workers write Parquet parts; two shards write to PostgreSQL. After a third of the clips one
// process is killed with SIGKILL and started again, after two thirds both are. Then every clip must be in the index exactly
// once, and a search for its caption must find it. The benchmark fails if that is not so.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { openIndex } from '../../dist/bulk/index.js'
import { readRows } from '../../dist/bulk/parquet.js'
import { createEmbedder } from '../../dist/index.js'
import { openQueue } from '../../dist/queue/index.js'
import { fillBucket, startRedis, startServers, variation } from './bucket-services.mjs'
import { runMeasured, startMeasured } from './process-tree.mjs'
import { pythonWith } from './python.mjs'
import { report, round } from './report.mjs'
import { scenes } from './scenes.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const command = path.join(root, 'dist', 'cli', 'bin.js')
const model = path.join(root, 'models', 'demo')
const BUCKET = 'clips'
const TABLE = 'clips'
const PROCESSES = 2
/** A queue needs several jobs to be killed between them. */
const JOBS = 40
const LOCK_SECONDS = 10
/** Of the captions, as many as must find their clip first. */
const FOUND = 0.95

const usage = `npm run bench bucket -- [OPTIONS]
  --count N    clips in the bucket (default 5000)
  --scenes N   different videos among them, each with a caption (default 256)
Needs redis-server ("node scripts/setup.mjs --queue"). The first use makes a Python environment with the packages of
scripts/bench/bucket-requirements.txt: the S3 server and PostgreSQL.`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      count: { type: 'string', default: '5000' },
      scenes: { type: 'string', default: '256' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const count = Number(values.count)
  const videos = scenes({ count: Math.min(count, Number(values.scenes)), seed: 7 })
  const python = pythonWith('bucket-requirements.txt')
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-bench-bucket-'))
  const started = []
  try {
    const redis = await startRedis()
    started.push(redis)
    const servers = await startServers(python, folder)
    started.push(servers)
    await measure({ count, videos, folder, redis: redis.url, ...servers })
  } finally {
    for (const one of started.reverse()) await one.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure({ count, videos, folder, redis, s3, postgres }) {
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: s3,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'key',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  })
  const sceneOf = (index) => videos[index % videos.length]
  const keyOf = (index) => `library/${String(index % 100).padStart(2, '0')}/clip-${index}.mp4`
  const filling = performance.now()
  const bodyOf = (index) => variation(sceneOf(index).file, index)
  const bytes = await fillBucket({ endpoint: s3, bucket: BUCKET, count, keyOf, bodyOf })
  console.log(`${count} clips, ${round(bytes / 1e6, 1)} MB, stored in ${since(filling)} s`)

  const manifest = path.join(folder, 'manifest.jsonl')
  const lines = Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      id: `clip-${index}`,
      video: `s3://${BUCKET}/${keyOf(index)}`,
      caption: sceneOf(index).caption,
    }),
  )
  writeFileSync(manifest, `${lines.join('\n')}\n`)

  const job = { count, manifest, folder, access: ['--model', model, '--url-http', s3, '--url-private', s3] }
  const parquet = path.join(folder, 'index')
  const rows = [await byQueue({ ...job, out: parquet, redis }), await byShards({ ...job, out: postgres })]
  const indexes = [
    { out: parquet, ids: await idsOfParts(parquet) },
    { out: postgres, ids: await idsOfTable(postgres) },
  ]
  const captions = [...new Set(videos.map(({ caption }) => caption))]
  for (const [place, { out, ids }] of indexes.entries()) {
    checkOnce(ids, count, rows[place].run)
    Object.assign(rows[place], await searched(out, captions, rows[place].run))
  }
  report('bucket', rows, { clips: count, scenes: videos.length, bytes })
  const words = ['search', parquet, captions[0], '--model', model, '--top', '3']
  const { output } = await runMeasured(process.execPath, [command, ...words], { cwd: folder })
  console.log(`\n${output}`)
}

/** The producer puts the manifest into a queue, two workers embed it into a folder of Parquet parts. */
async function byQueue({ count, manifest, folder, access, out, redis }) {
  const began = performance.now()
  const queue = ['--queue', redis]
  const jobItems = Math.max(1, Math.ceil(count / JOBS))
  const words = ['index', manifest, '--out', out, ...queue, '--job-items', `${jobItems}`]
  const producer = await runMeasured(process.execPath, [command, ...words], { cwd: folder })
  const seen = await openQueue({ url: redis })
  const worker = ['worker', ...queue, ...access, '--exit-when-empty', '--lock-seconds', `${LOCK_SECONDS}`]
  try {
    const embedding = await killedAndResumed({
      words: Array.from({ length: PROCESSES }, () => worker),
      folder,
      count,
      done: async () => (await seen.status()).completed * jobItems,
    })
    return rowOf('queue, 2 workers, Parquet', count, began, [producer, ...embedding])
  } finally {
    await seen[Symbol.asyncDispose]()
  }
}

/** Two processes share the manifest by a hash, and write to one table. */
async function byShards({ count, manifest, folder, access, out }) {
  const began = performance.now()
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: out })
  await client.connect()
  try {
    const embedding = await killedAndResumed({
      words: Array.from({ length: PROCESSES }, (_, index) => {
        const shard = ['--table', TABLE, '--shard', `${index}/${PROCESSES}`]
        return ['index', manifest, '--out', out, ...shard, ...access]
      }),
      folder,
      count,
      done: async () => {
        const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS is_there', [TABLE])
        if (!rows[0].is_there) return 0
        return Number((await client.query(`SELECT count(*) FROM ${TABLE}`)).rows[0].count)
      },
    })
    return rowOf('2 shards, PostgreSQL', count, began, embedding)
  } finally {
    await client.end()
  }
}

/**
 * Runs the commands side by side to their end. After a third of the clips the first is killed and started again, after two
 * thirds all are. @returns what each process took
 */
async function killedAndResumed({ words, folder, count, done }) {
  const start = (own) => startMeasured(process.execPath, [command, ...own], { cwd: folder })
  const running = words.map(start)
  const ended = []
  try {
    for (const { share, victims } of [
      { share: 1 / 3, victims: [0] },
      { share: 2 / 3, victims: [...words.keys()] },
    ]) {
      while ((await done()) < share * count) {
        const early = running.find(({ program }) => program.exitCode)
        if (early) throw new Error(`a process ended with ${early.program.exitCode}:\n${early.output()}`)
        await sleep(20)
      }
      for (const place of victims) running[place].program.kill('SIGKILL')
      for (const place of victims) {
        ended.push(await running[place].finished)
        running[place] = start(words[place])
      }
    }
    for (const each of running) {
      const result = await each.finished
      if (result.exit !== 0) throw new Error(`a process ended with ${result.exit}:\n${result.output}`)
      ended.push(result)
    }
    return ended
  } finally {
    for (const { program } of running) program.kill('SIGKILL')
  }
}

function rowOf(name, count, began, processes) {
  const seconds = (performance.now() - began) / 1000
  return {
    run: name,
    clips: count,
    'time s': round(seconds, 1),
    'clips/s': round(count / seconds, 1),
    'CPU s': round(
      processes.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      1,
    ),
    'peak MiB of a process': Math.round(Math.max(...processes.map(({ peakMiB }) => peakMiB))),
    killed: processes.filter(({ exit }) => exit === 'SIGKILL').length,
  }
}

async function idsOfParts(folder) {
  const ids = []
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.parquet'))) {
    for await (const { id } of readRows(path.join(folder, name), ['id'])) ids.push(id)
  }
  return ids
}

async function idsOfTable(url) {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(`SELECT id FROM ${TABLE}`)).rows.map(({ id }) => id)
  } finally {
    await client.end()
  }
}

function checkOnce(ids, count, name) {
  const different = new Set(ids)
  const missing = Array.from({ length: count }, (_, index) => `clip-${index}`).filter(
    (id) => !different.has(id),
  )
  const repeated = ids.length - different.size
  if (missing.length > 0 || repeated > 0 || different.size !== count) {
    throw new Error(
      `${name}: ${ids.length} rows for ${count} clips, ${missing.length} missing, ${repeated} repeated`,
    )
  }
  console.log(`${name}: every clip exactly once`)
}

/** Searches each caption: the first result must have it, and so should as many as there are clips with it. */
async function searched(out, captions, name) {
  const embedder = await createEmbedder({ model, device: 'cpu' })
  let index
  try {
    index = await openIndex(out, { table: TABLE, model: embedder.info().model })
    let [found, milliseconds] = [0, 0]
    for (const caption of captions) {
      const { embedding } = await embedder.embedText(caption)
      const began = performance.now()
      const [hit] = await index.search(embedding, { top: 20 })
      milliseconds += performance.now() - began
      if (hit?.carried.caption === caption) found += 1
    }
    if (found < FOUND * captions.length) {
      throw new Error(`${name}: only ${found} of ${captions.length} captions find their clip first`)
    }
    return {
      'search ms': round(milliseconds / captions.length, 1),
      'captions found': `${found} of ${captions.length}`,
    }
  } finally {
    await index?.close()
    await embedder.dispose()
  }
}

function since(began) {
  return round((performance.now() - began) / 1000, 1)
}
