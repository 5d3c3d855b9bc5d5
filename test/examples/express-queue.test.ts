/** The example with a queue, in a real Redis, with its server and its worker in processes of their own. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { Queue } from 'bullmq'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createEmbedder, similarity } from '../../src/index.ts'
import { temporaryFolder } from '../bulk/support.ts'
import { hasRedis, RedisServer } from '../queue/support.ts'
import { clip, root, serve, start } from './support.ts'

if (!hasRedis) console.warn('the example with a queue is not tried: there is no redis-server')

const folder = temporaryFolder()
const redis = new RedisServer(folder)
beforeAll(() => (hasRedis ? redis.start() : undefined))

let databases = 0
/** A database of Redis and a folder of uploads for one test: what it leaves behind must not reach the next one. */
function place() {
  const number = databases++
  const uploads = path.join(folder, `uploads-${number}`)
  mkdirSync(uploads)
  const env = { REDIS_URL: `${redis.url}/${number}`, UPLOADS: uploads }
  const queue = new Queue('embeddings', { connection: { url: env.REDIS_URL } })
  onTestFinished(() => queue.close())
  return {
    uploads,
    queue,
    serve: (file: string, more?: object) => serve(`express-queue/${file}`, [], { ...env, ...more }),
    work: (more?: object) => start('express-queue/worker.mjs', [], { ...env, ...more }),
  }
}

const altered = (how: 'lost' | 'slow') => ({
  NODE_OPTIONS: `--import ${pathToFileURL(path.join(import.meta.dirname, 'children', 'altered-embedder.mjs'))}`,
  ALTERED: how,
})

interface Answer {
  id: string
  state: string
  embedding: number[]
}
const request = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init)
  return { status: response.status, body: (await response.json()) as Answer, headers: response.headers }
}
const upload = (address: string, body: Uint8Array | string) =>
  request(`${address}/videos`, { method: 'POST', body })
const sendText = (address: string, body: string) =>
  request(`${address}/texts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
/** What became of the job, once it has ended. */
const end = async (address: string, { body }: { body: { id: string } }) =>
  (await request(`${address}/jobs/${body.id}?wait=30`)).body

const video = readFileSync(clip('red-circle.mp4'))

describe.skipIf(!hasRedis)('express-queue', () => {
  it('gives the vectors of the embedder and its typed errors, and keeps no upload', async () => {
    const { uploads, queue, serve } = place()
    const { address, child, exit } = await serve('main.mjs')
    await using embedder = await createEmbedder({ model: path.join(root, 'models/demo') })
    const text = 'a red circle moving left'
    for (const [sent, { embedding }] of [
      [await upload(address, video), await embedder.embedVideo(clip('red-circle.mp4'))],
      [await sendText(address, JSON.stringify({ text })), await embedder.embedText(text)],
    ] as const) {
      expect(sent).toMatchObject({ status: 202, body: { id: expect.any(String) } })
      expect(sent.headers.get('location')).toBe(`/jobs/${sent.body.id}`)
      const done = await end(address, sent)
      expect(done).toMatchObject({ id: sent.body.id, state: 'done' })
      expect(similarity(Float32Array.from(done.embedding), embedding)).toBeCloseTo(1, 5)
    }

    const failed = (code: string) => ({
      state: 'failed',
      error: { code, status: 422, message: expect.any(String), retryable: false },
    })
    const bad = await upload(address, 'no video')
    expect(await end(address, bad)).toMatchObject(failed('media'))
    expect((await queue.getJob(bad.body.id))?.attemptsMade, 'of no use to try again').toBe(1)
    for (const body of ['{}', '{"text":""}', '{"text":[1]}'])
      expect(await end(address, await sendText(address, body)), body).toMatchObject(failed('invalid_request'))
    expect((await sendText(address, '{"text')).status).toBe(400)
    expect(await request(`${address}/jobs/nobody`)).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    })
    await expect.poll(() => readdirSync(uploads)).toEqual([])

    const cutOff = httpRequest(`${address}/videos`, { method: 'POST' }).on('error', () => {})
    cutOff.write('the beginning of a video')
    await expect.poll(() => readdirSync(uploads)).toHaveLength(1)
    cutOff.destroy()
    await expect.poll(() => readdirSync(uploads)).toEqual([])
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
  })

  it('finishes what was queued after the server and its worker are killed', async () => {
    const { queue, serve } = place()
    const first = await serve('server.mjs')
    const sent = []
    for (let n = 0; n < 60; n++) sent.push(await upload(first.address, video))
    expect(sent.map(({ status }) => status)).toEqual(sent.map(() => 202))
    first.child.kill('SIGKILL')
    await first.exit

    const second = await serve('main.mjs', altered('slow'))
    await expect.poll(() => queue.getCompletedCount()).toBeGreaterThan(0)
    second.child.kill('SIGKILL')
    await second.exit
    expect(await queue.getActiveCount(), 'jobs that died with their worker').toBeGreaterThan(0)

    const third = await serve('main.mjs')
    const ends = await Promise.all(sent.map((one) => end(third.address, one)))
    expect(ends.map(({ state }) => state)).toEqual(sent.map(() => 'done'))
  })

  it('refuses while the queue is full, and answers who waits when it is stopped', async () => {
    const { queue, serve } = place()
    const { address, child, exit } = await serve('server.mjs')
    const waiting = await upload(address, video)
    await queue.addBulk(Array.from({ length: 999 }, () => ({ name: 'embed', data: { text: 'a circle' } })))
    const refused = await upload(address, video)
    expect(refused).toMatchObject({ status: 503, body: { code: 'queue_full' } })
    expect(refused.headers.get('retry-after')).toBe('30')

    const answer = end(address, waiting)
    // Another request's answer shows that the server has seen the one that waits.
    expect((await request(`${address}/jobs/${waiting.body.id}`)).body.state).toBe('waiting')
    child.kill('SIGTERM')
    expect(await answer).toMatchObject({ state: 'waiting' })
    expect(await exit).toBe(0)
    expect(await queue.getWaitingCount()).toBe(1000)
    // The answer would come after 30 seconds without the signal.
  }, 20_000)

  it('finishes the jobs that a worker has begun, and leaves the others, when it is stopped', async () => {
    const { queue, serve, work } = place()
    const { address } = await serve('server.mjs')
    for (let n = 0; n < 60; n++) await upload(address, video)
    const worker = work(altered('slow'))
    await expect.poll(() => queue.getCompletedCount()).toBeGreaterThan(0)
    worker.child.kill('SIGTERM')
    expect(await worker.exit).toBe(0)
    const { completed = 0, ...counts } = await queue.getJobCounts()
    expect(completed).toBeLessThan(60)
    expect(counts).toMatchObject({ waiting: 60 - completed, active: 0, failed: 0 })
  })

  it('ends the worker that lost its device with 1, and keeps its jobs for the next one', async () => {
    const { queue, serve, work } = place()
    const { address } = await serve('server.mjs')
    const sent = await upload(address, video)
    const worker = work(altered('lost'))
    expect(await worker.exit).toBe(1)
    expect(await queue.getFailedCount()).toBe(0)
    work()
    expect(await end(address, sent)).toMatchObject({ state: 'done' })
  })

  it('answers 503 while Redis is away, and goes on when it is back', async () => {
    const { uploads, serve } = place()
    const { address } = await serve('main.mjs')
    await redis.stop()
    const away = { status: 503, body: { code: 'unavailable' } }
    await expect.poll(() => request(`${address}/jobs/nobody`)).toMatchObject(away)
    expect(await upload(address, video)).toMatchObject(away)
    expect(readdirSync(uploads)).toEqual([])
    await redis.start()
    await expect.poll(async () => (await request(`${address}/jobs/nobody`)).status).toBe(404)
    expect(await end(address, await upload(address, video))).toMatchObject({ state: 'done' })
  })
})
