// Takes jobs from the queue and embeds them. Any number may run: node examples/express-queue/worker.mjs

import { rm } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { UnrecoverableError, Worker } from 'bullmq'
import { CosmosEmbedError, createEmbedder } from 'cosmos-embed'
import { packError, queueName, redis, uploads } from './queue.mjs'

const embedder = await createEmbedder({ model: process.env.MODEL })

/** What it returns is the job's result, in Redis. */
async function work({ data: { video, text } }) {
  const options = { priority: 'bulk' }
  try {
    const { embedding } = await (video === undefined
      ? embedder.embedText(text, options)
      : embedder.embedVideo(path.join(uploads, video), options))
    return Array.from(embedding)
  } catch (error) {
    if (!(error instanceof CosmosEmbedError)) throw error
    if (error.code === 'device_lost') return lost(error)
    // BullMQ tries a job again unless it is told that this is of no use.
    throw new (error.retryable ? Error : UnrecoverableError)(packError(error))
  }
}

/** The GPU cannot be used again from this process. Another one tries the job again, so a supervisor must start it. */
function lost(error) {
  process.exitCode = 1
  process.kill(process.pid, 'SIGTERM')
  throw new Error(packError(error))
}

const worker = new Worker(queueName, work, {
  connection: redis,
  // Jobs at a time, so that decoding overlaps with the model. The rest wait in Redis, not here.
  concurrency: 16,
  // A killed worker's jobs are taken over after ten seconds, but not forever: a job may be what kills.
  lockDuration: 10_000,
  stalledInterval: 5000,
  maxStalledCount: 3,
})
worker.on('error', (error) => console.error(`Redis: ${error.message}`))

// Only now: a job that is tried again needs its video.
for (const end of ['completed', 'failed']) {
  worker.on(end, (job) => {
    if (!job?.finishedOn || job.data.video === undefined) return
    rm(path.join(uploads, job.data.video), { force: true }).catch((error) => console.error(error.message))
  })
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  // Takes no new job, and finishes those that it has begun. The others stay in Redis.
  process.once(signal, async () => {
    await worker.close()
    await embedder.dispose()
  })
}
console.log('embeds what is in the queue')
