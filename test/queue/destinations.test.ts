/** Destinations of several workers: what they promise, and what is refused. Needs no Redis. */
import { readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { statusOf } from '../../src/bulk/destination.ts'
import { buildIndex, type IndexSource, parquetSink } from '../../src/bulk/index.ts'
import { jobPartsSink } from '../../src/bulk/job-parts-sink.ts'
import { planRow } from '../../src/bulk/planned-item.ts'
import { enqueueIndex } from '../../src/queue/index.ts'
import { runJob } from '../../src/queue/run-job.ts'
import { doubleEmbedder, vectorOf } from '../bulk/double.mjs'
import { storedRows, temporaryFolder } from '../bulk/support.ts'
import { run } from '../cli/support.ts'
import { freePort } from '../docs/snippets.ts'
import { writeManifest } from './support.ts'

const folder = temporaryFolder()
const job = 'c0ffee'.padEnd(32, '0')
const source = (from: number, to: number): IndexSource => ({
  name: 'rows',
  async *items() {
    for (let n = from; n < to; n++) yield planRow({ id: `i${n}`, video: `/v/${n}.mp4` }, '.', `${n}`)
  },
})

describe('the parts of a job', () => {
  it.each([
    ['one vector per video', undefined],
    ['windows', { seconds: 1 }],
  ])('hold each item once, however many workers have the job at the same time: %s', async (_, windows) => {
    const out = path.join(folder, `parts-${windows ? 'windows' : 'whole'}`)
    // Each sees a part of the items, as if the other ones had failed there.
    const ranges = [
      [0, 30],
      [10, 40],
      [0, 40],
      [5, 15],
    ] as const
    await Promise.all(
      ranges.map(([from, to]) =>
        buildIndex(doubleEmbedder(), [source(from, to)], jobPartsSink(out, job), { windows }),
      ),
    )
    const rows = await storedRows(out)
    const items = new Set(rows.map(({ id, item }) => item ?? id))
    const count = windows ? [...Array(40).keys()].reduce((sum, n) => sum + (n % 10), 0) : 40
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
    expect(rows.length).toBe(count)
    expect(items.size).toBe(windows ? 36 : 40)
    expect((await statusOf(out))?.rows).toBe(count)
    // A later try embeds nothing again.
    const embedder = doubleEmbedder()
    const tally = await buildIndex(embedder, [source(1, 9)], jobPartsSink(out, job), { windows })
    expect(tally).toMatchObject({ embedded: 0, skipped: 8 })
    expect(embedder.calls).toBe(0)
    const files = readdirSync(out).filter(
      (file) => !/^(part-[0-9a-f]{32}-\d{6}\.parquet|_index\.json)$/.test(file),
    )
    expect(files).toEqual([])
  })

  it('keep what was embedded before the device was lost', async () => {
    const out = path.join(folder, 'cut')
    const { DeviceLostError } = await import('../../src/index.ts')
    const fail = (name: string) => (name === '/v/20.mp4' ? new DeviceLostError('gone') : undefined)
    const lost = buildIndex(doubleEmbedder({ fail }), [source(0, 30)], jobPartsSink(out, job), {
      concurrency: 1,
    })
    await expect(lost).rejects.toThrow('gone')
    expect((await storedRows(out)).map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, n) => `i${n}`))
  })

  it('are of shots where the queue says so', async () => {
    const out = path.join(folder, 'parts-shots')
    const asked: unknown[] = []
    const embedder = Object.assign(doubleEmbedder(), {
      async *segments(video: unknown, options: unknown) {
        asked.push(options)
        for (const [start, end] of [
          [0, 1.5],
          [1.5, 4],
        ]) {
          const embedding = vectorOf(`${video}@${start}`)
          yield { kind: 'video', embedding, warnings: [], media: { bytesRead: 10 }, start, end }
        }
      },
    })
    const shots = { threshold: 20, minSeconds: 1 }
    const index = { out, windows: { shots }, frameTolerance: 0, frameRule: 'card', columns: {} } as const
    const data = { format: 1, index, rows: [{ id: 'a', video: '/v/a.mp4' }], failures: [] }
    const outcome = await runJob(embedder as never, { id: job, data } as never, {
      jobs: 1,
      signal: new AbortController().signal,
      isEnding: () => false,
      onProgress: () => {},
    })
    expect(outcome).toEqual({ kind: 'done' })
    expect(asked).toEqual([expect.objectContaining({ shots })])
    expect((await storedRows(out)).map(({ id }) => id).sort()).toEqual(['a#t=0,1.5', 'a#t=1.5,4'])
  })
})

describe('a queue refuses', () => {
  const manifest = writeManifest(path.join(folder, 'some.jsonl'), 2)
  const producer = (out: string, ...options: string[]) =>
    run(['index', manifest, '--out', out, '--queue', 'redis://127.0.0.1:1', ...options])

  it.each([
    [path.join(folder, 'lines.jsonl'), 'a file of JSON lines has one writer, and a queue has many workers'],
    ['s3://bucket/index', 'expected a folder'],
    [path.join(folder, 'a.lance'), 'the workers of a queue do not write LanceDB'],
    ['qdrant://key@host', 'the workers of a queue do not write Qdrant'],
  ])('%s', async (out, message) => {
    const { code, stderr } = await producer(out)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(message) })
  })

  it('a server that is no Redis, or that is away, without telling the password', async () => {
    const port = await freePort()
    const out = path.join(folder, 'away')
    const opened = { queue: { url: `redis://me:secret@127.0.0.1:${port}` }, out }
    const failure = await enqueueIndex([source(0, 1)], opened).catch((error) => error)
    expect(failure).toMatchObject({ code: 'source', message: expect.stringContaining(`127.0.0.1:${port}`) })
    expect(failure.message).not.toContain('secret')
    const wrong = await enqueueIndex([source(0, 1)], { queue: { url: 'http://me:secret@host' }, out }).catch(
      (error) => error,
    )
    expect(wrong).toMatchObject({ code: 'invalid_argument', message: expect.not.stringContaining('secret') })
  })

  it('a folder that a run without a queue has not finished', async () => {
    const out = path.join(folder, 'journal')
    await buildIndex(doubleEmbedder(), [source(0, 1)], parquetSink(out))
    writeFileSync(path.join(out, '_tail-000002.jsonl'), '')
    const { heldIn } = await import('../../src/bulk/shared-destination.ts')
    const known = { frameRule: 'card', frameTolerance: 0, windows: null, columns: {} } as const
    await expect(heldIn({ out }, known).next()).rejects.toThrow('let that run finish first')
  })

  it('options that need it, and unknown actions', async () => {
    expect((await run(['index', manifest, '--out', folder, '--attempts', '2'])).code).toBe(2)
    expect((await run(['queue', 'purge', '--queue', 'redis://127.0.0.1'])).code).toBe(2)
    expect((await run(['worker'])).stderr).toContain('--queue redis://HOST:PORT is missing')
  })
})
