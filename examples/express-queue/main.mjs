// An Express server that takes uploads at once and embeds them in the background:
//
//   node examples/express-queue/main.mjs
//   curl --data-binary @clip.mp4 -H 'content-type: video/mp4' localhost:3000/videos    → {"id":"…"}
//   curl localhost:3000/videos/…                                                       → {"state":"done","embedding":[…]}

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createEmbedder } from 'cosmos-embed'
import express from 'express'

const maxWaiting = 1000
const maxBytes = 500e6

const embedder = await createEmbedder({ model: process.env.MODEL })
const folder = await mkdtemp(path.join(tmpdir(), 'uploads-'))
/** What a client is told of its video. A database in a real service. */
const jobs = new Map()
/** An object stream is an asynchronous queue: one side writes, the other iterates. */
const queue = new PassThrough({ objectMode: true, highWaterMark: maxWaiting })

const app = express()

app.post('/videos', async (request, response) => {
  if (queue.writableNeedDrain)
    return response.status(503).set('retry-after', '30').json({ code: 'queue_full' })
  const id = randomUUID()
  const file = path.join(folder, id)
  try {
    await pipeline(request, atMost(maxBytes), createWriteStream(file))
  } catch (error) {
    await rm(file, { force: true })
    return response.status(error.status ?? 400).json({ code: 'upload_failed', message: error.message })
  }
  jobs.set(id, { state: 'waiting' })
  queue.write({ video: file, key: id })
  response.status(202).location(`/videos/${id}`).json({ id })
})

app.get('/videos/:id', (request, response) => {
  const job = jobs.get(request.params.id)
  response.status(job ? 200 : 404).json(job ?? { code: 'not_found' })
})

const server = app.listen(Number(process.env.PORT ?? 3000))
await once(server, 'listening')
console.log(`takes videos at http://localhost:${server.address().port}/videos`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  // Takes nothing new, and finishes what is in the queue.
  process.once(signal, () => server.close(() => queue.end()))
}

// The worker: it takes a job when one of its places is free. What fails is the job's own affair.
for await (const { key: id, ...one } of embedder.embedStream(queue, { concurrency: 16 })) {
  if (one.status === 'fulfilled') jobs.set(id, { state: 'done', embedding: Array.from(one.value.embedding) })
  else jobs.set(id, { state: 'failed', code: one.reason.code, message: one.reason.message })
  await rm(path.join(folder, id))
}
await embedder.dispose()
await rm(folder, { recursive: true })

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
