/** A queue in a real Redis, with workers in processes of their own. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openSources } from '../../src/bulk/index.ts'
import { type EnqueueOptions, enqueueIndex, openQueue } from '../../src/queue/index.ts'
import { vectorOf } from '../bulk/double.mjs'
import { storedRows, temporaryFolder } from '../bulk/support.ts'
import { run } from '../cli/support.ts'
import { hasRedis, RedisServer, statusOfQueue, WorkerProcess, writeManifest } from './support.ts'

if (!hasRedis) console.warn('the queue is not tried: there is no redis-server')

const folder = temporaryFolder()
const redis = new RedisServer(folder)
beforeAll(() => (hasRedis ? redis.start() : undefined))

/** Puts the manifest into a queue, through the program. */
async function produce(name: string, manifest: string, out: string, ...options: string[]) {
  const args = ['index', manifest, '--out', out, '--queue', redis.url, '--queue-name', name, ...options]
  const { code, stderr } = await run(args)
  return { code, stderr }
}

/** Puts the manifest into a queue whose jobs are tried again after half a second. */
async function enqueue(name: string, manifest: string, out: string, options: Partial<EnqueueOptions>) {
  await using opened = await openSources([manifest])
  const queue = { url: redis.url, name }
  return await enqueueIndex(opened.sources, { queue, out, backoffSeconds: 0.5, ...options })
}

const idsIn = async (out: string) => (await storedRows(out)).map(({ id }) => id).sort()
const ids = (count: number) => Array.from({ length: count }, (_, index) => `i${index}`).sort()
const worker = (name: string, options: object = {}) =>
  new WorkerProcess({ queue: { url: redis.url, name }, lockSeconds: 3, ...options })
/** Polls a condition of the queue. */
const until = (name: string, condition: (status: Awaited<ReturnType<typeof statusOfQueue>>) => boolean) =>
  expect.poll(async () => condition(await statusOfQueue(redis.url, name)), { interval: 50 }).toBe(true)

describe.skipIf(!hasRedis)('a queue in Redis', () => {
  it('has every item once, although workers are killed and stopped and Redis is restarted', async () => {
    const [name, out] = ['chaos', path.join(folder, 'chaos')]
    const manifest = writeManifest(path.join(folder, 'chaos.jsonl'), 400)
    const { enqueued, jobs } = await enqueue(name, manifest, out, { jobItems: 10, attempts: 2 })
    expect({ enqueued, jobs }).toEqual({ enqueued: 400, jobs: 40 })
    // One video is damaged; the server of another one stays away. 7 and 307 end up in jobs of their own.
    const faults = { delayMs: 40, concurrency: 6, broken: '/v/7.mp4', flaky: '/v/307.mp4', retries: 1 }
    const [killed, paused, third] = [1, 2, 3].map(() => worker(name, faults)) as [
      WorkerProcess,
      WorkerProcess,
      WorkerProcess,
    ]
    for (const child of [killed, paused, third]) await expect.poll(() => child.output).toContain('embedding')
    killed.kill('SIGKILL')
    paused.kill('SIGSTOP')
    await redis.stop()
    await redis.start()
    // The third worker takes over the jobs of the other two, and the failed ones are tried again.
    await until(name, ({ waiting, active }) => waiting + active === 0)
    paused.kill('SIGCONT')
    await until(name, ({ waiting, active, delayed }) => waiting + active + delayed === 0)
    paused.kill('SIGTERM')
    third.kill('SIGTERM')
    expect(await Promise.all([killed.exit, paused.exit, third.exit])).toEqual(['SIGKILL', 0, 0])

    expect(await idsIn(out)).toEqual(ids(400).filter((id) => id !== 'i7' && id !== 'i307'))
    await using queue = await openQueue({ url: redis.url, name })
    const letters = []
    for await (const { key, code, retryable } of queue.deadLetters()) letters.push([key, code, retryable])
    expect(letters.sort()).toEqual([
      ['i307', 'download_failed', true],
      ['i7', 'media', false],
    ])
    const status = await run(['queue', 'status', '--queue', redis.url, '--queue-name', name])
    expect(status.code).toBe(3)
    expect(status.stdout).toMatch(/jobs completed +38\n.*dead letters +2\n.*media +1\n/s)

    // Once the cause is gone, they are tried again.
    const retried = await run(['queue', 'retry', '--queue', redis.url, '--queue-name', name])
    expect(retried.stdout).toBe('2 jobs are in the queue again\n')
    expect(await worker(name, { exitWhenEmpty: true }).exit).toBe(0)
    const rows = await storedRows(out)
    expect(rows.map(({ id }) => id).sort()).toEqual(ids(400))
    for (const { id, embedding, tag } of rows) {
      const number = Number(id.slice(1))
      expect(Float32Array.from(embedding), id).toEqual(vectorOf(`/v/${number}.mp4`))
      expect(tag === null ? null : Number(tag)).toBe(number % 3 === 0 ? null : number)
    }
  }, 120_000)

  it('gives the rest of a job back when a worker is asked to stop', async () => {
    const [name, out] = ['stopped', path.join(folder, 'stopped')]
    await produce(name, writeManifest(path.join(folder, 'stopped.jsonl'), 100), out)
    const first = worker(name, { delayMs: 50, concurrency: 2, jobs: 1 })
    await expect.poll(() => first.output).toContain('embedding')
    first.kill('SIGTERM')
    expect(await first.exit).toBe(0)
    const written = await idsIn(out)
    expect(written.length).toBeGreaterThan(0)
    expect(written.length).toBeLessThan(100)
    expect(await statusOfQueue(redis.url, name)).toMatchObject({ waiting: 1, active: 0, deadJobs: 0 })
    expect(await worker(name, { exitWhenEmpty: true }).exit).toBe(0)
    expect(await idsIn(out)).toEqual(ids(100))
  })

  it('ends the worker that lost its device, and buries a job that takes every device down', async () => {
    const [name, out] = ['lost', path.join(folder, 'lost')]
    const manifest = writeManifest(path.join(folder, 'lost.jsonl'), 6)
    await enqueue(name, manifest, out, { jobItems: 3, attempts: 2 })
    for (let tries = 1; tries <= 2; tries++) {
      const child = worker(name, { lethal: '/v/4.mp4', jobs: 1 })
      expect(await child.exit).toBe(1)
      expect(child.output).toContain('the GPU fell off the bus')
      expect((await statusOfQueue(redis.url, name)).deadJobs).toBe(tries - 1)
    }
    await using queue = await openQueue({ url: redis.url, name })
    const letters = []
    for await (const letter of queue.deadLetters()) letters.push(letter)
    expect(letters.map(({ key }) => key).sort()).toEqual(['i3', 'i4', 'i5'])
    expect(letters[0]).toMatchObject({ code: null, message: 'the GPU fell off the bus' })
    expect(await idsIn(out)).toEqual(expect.arrayContaining(['i0', 'i1', 'i2']))
  })

  it('puts back the job of a worker with the wrong frame rule or an unusable destination', async () => {
    const [name, out] = ['wrong', path.join(folder, 'wrong')]
    const manifest = writeManifest(path.join(folder, 'wrong.jsonl'), 3)
    await produce(name, manifest, out, '--frame-rule', 'curator')
    const wrong = worker(name)
    expect(await wrong.exit).toBe(1)
    expect(wrong.output).toContain('for the frame rule "curator", and this worker has "card"')
    expect((await run(['queue', 'drain', '--queue', redis.url, '--queue-name', name])).stdout).toBe(
      '1 jobs removed\n',
    )
    writeFileSync(path.join(folder, 'file'), '')
    await produce(name, manifest, path.join(folder, 'elsewhere'))
    expect(await worker(name, { out: path.join(folder, 'file') }).exit).toBe(1)
    expect(await statusOfQueue(redis.url, name)).toMatchObject({ waiting: 1, active: 0, deadJobs: 0 })
  })

  it('does not enqueue what the index or the queue has', async () => {
    const [name, out] = ['again', path.join(folder, 'again')]
    const manifest = (count: number) => writeManifest(path.join(folder, 'again.jsonl'), count)
    await produce(name, manifest(5), out, '--job-items', '5')
    expect(await worker(name, { exitWhenEmpty: true }).exit).toBe(0)
    expect((await produce(name, manifest(9), out)).stderr).toContain(
      '9/9, 4 put into 1 jobs, 5 already in the index or in the queue\n',
    )
    // The new items come first now.
    writeFileSync(
      path.join(folder, 'again.jsonl'),
      `{"text":"a car"}\nno JSON\n${ids(9)
        .map((id) => JSON.stringify({ id, text: id }))
        .join('\n')}`,
    )
    const last = await produce(name, path.join(folder, 'again.jsonl'), out)
    expect(last.code).toBe(3)
    expect(last.stderr).toMatch(
      /1 put into 1 jobs, 9 already in the index or in the queue, 1 failed\n.*_errors/s,
    )
    expect(await worker(name, { exitWhenEmpty: true }).exit).toBe(0)
    expect(await idsIn(out)).toEqual(['a car', ...ids(9)].sort())
    const other = await produce(name, path.join(folder, 'again.jsonl'), out, '--window', '1')
    expect(other.code).toBe(1)
    expect(other.stderr).toContain('holds other vectors: its windows is none')
  })

  it('waits while the queue is full, and can be stopped', async () => {
    const [name, out] = ['full', path.join(folder, 'full')]
    const manifest = writeManifest(path.join(folder, 'full.jsonl'), 5)
    const abort = new AbortController()
    const args = ['index', manifest, '--out', out, '--queue', redis.url, '--queue-name', name]
    const waits = run([...args, '--job-items', '1', '--max-jobs', '2'], abort.signal)
    await until(name, ({ waiting }) => waiting === 2)
    abort.abort(new Error('interrupted'))
    expect((await waits).code).toBe(130)
    expect((await statusOfQueue(redis.url, name)).waiting).toBe(2)
  })

  it('makes a dead letter of a job that it does not understand', async () => {
    const { Queue } = await import('bullmq')
    const queue = new Queue('strange', { connection: { url: redis.url } })
    await queue.add('index', { format: 2 })
    await queue.close()
    expect(await worker('strange', { exitWhenEmpty: true }).exit).toBe(0)
    expect(await statusOfQueue(redis.url, 'strange')).toMatchObject({ deadJobs: 1, deadLetters: 0 })
  })
})
