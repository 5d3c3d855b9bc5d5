// Takes videos and texts, puts a job for each into the queue, and tells what became of it. It loads no model.

import { randomUUID } from 'node:crypto'
import EventEmitter, { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { pipeline } from 'node:stream/promises'
import { Queue, QueueEvents } from 'bullmq'
import express from 'express'
import { queueName, redis, unpackError, uploads } from './queue.mjs'

const maxWaiting = 1000
const maxBytes = 500e6
const maxWaitSeconds = 30

await mkdir(uploads, { recursive: true })

const queue = new Queue(queueName, {
  // While Redis is away a request fails at once, instead of waiting for it.
  connection: { ...redis, enableOfflineQueue: false },
  defaultJobOptions: {
    attempts: 3,
    backoff: { type: 'exponential', delay: 1000 },
    // The answers are there for a day. A real worker would also store the vector.
    removeOnComplete: { age: 86_400 },
    removeOnFail: { age: 86_400 },
  },
})
const events = new QueueEvents(queueName, { connection: redis })
for (const one of [queue, events]) one.on('error', (error) => console.error(`Redis: ${error.message}`))
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()])

/** Emits the id of each job that has ended, in whichever process. */
const ends = new EventEmitter()
for (const end of ['completed', 'failed']) events.on(end, ({ jobId }) => ends.emit(jobId))

const stopping = new AbortController()
const app = express()

// Back-pressure: a full queue refuses, before the body is read.
async function room(_request, response, next) {
  if ((await queue.getJobCountByTypes('waiting', 'delayed')) < maxWaiting) return next()
  response.status(503).set('retry-after', '30').json({ code: 'queue_full', message: 'try again later' })
}

async function enqueue(response, id, data) {
  await queue.add('embed', data, { jobId: id })
  response.status(202).location(`/jobs/${id}`).json({ id })
}

app.post('/videos', room, async (request, response) => {
  const id = randomUUID()
  const file = path.join(uploads, id)
  try {
    await pipeline(request, atMost(maxBytes), createWriteStream(file))
    await enqueue(response, id, { video: id })
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
})

app.post('/texts', room, express.json(), async (request, response) => {
  await enqueue(response, randomUUID(), { text: request.body?.text ?? '' })
})

// Answers at once, or with ?wait=SECONDS when the job has ended, the time is up, or the server stops.
app.get('/jobs/:id', async (request, response) => {
  const { id } = request.params
  const seconds = Math.max(0, Math.min(Number(request.query.wait) || 0, maxWaitSeconds))
  // Listens before it looks, or an end in between would be missed.
  const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(seconds * 1000)])
  const ended = once(ends, id, { signal }).catch(() => {})
  let job = await queue.getJob(id)
  if (job && !job.finishedOn) {
    await ended
    job = await queue.getJob(id)
  }
  if (!job) return response.status(404).json({ code: 'not_found', message: 'no such job' })
  response.json(describe(job))
})

function describe({ id, finishedOn, returnvalue, failedReason }) {
  if (!finishedOn) return { id, state: 'waiting' }
  if (returnvalue) return { id, state: 'done', embedding: returnvalue }
  return { id, state: 'failed', error: unpackError(failedReason) }
}

// Errors with a status are the request's own. Of the rest, most mean that Redis is away.
app.use((error, _request, response, _next) => {
  if (!error.status) console.error(error.message)
  const { status = 503, message } = error.status ? error : { message: 'try again later' }
  response.status(status).json({ code: status === 503 ? 'unavailable' : 'bad_request', message })
})

const server = app.listen(Number(process.env.PORT ?? 3000))
await once(server, 'listening')
console.log(`takes videos and texts at http://localhost:${server.address().port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  // Takes nothing new and answers those who wait. The jobs stay in Redis.
  process.once(signal, () => {
    server.close(() => Promise.all([queue.close(), events.close()]))
    stopping.abort()
  })
}

function atMost(limit) {
  return async function* (source) {
    let bytes = 0
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes > limit) throw Object.assign(new Error(`a video may have ${limit} bytes`), { status: 413 })
      yield chunk
    }
  }
}
