// argv: a long video, and what to do. Decodes it in decoder processes, prints their ids when they work, then waits or ends.
import { readdirSync, readFileSync } from 'node:fs'
import { Worker, workerData } from 'node:worker_threads'
import binding from '#binding'

const [video, action] = workerData ?? process.argv.slice(2)
const decoders = await binding.openDecoderPool({ maxBytes: 2 ** 31, idle: 2 }).promise
const options = { frames: 64, height: 32, width: 32, decoders }
const jobs = [1, 2].map(() => binding.decodeClip({ path: video }, options))
const ended = Promise.allSettled(jobs.map(({ promise }) => promise))

function children() {
  return readdirSync('/proc').filter((name) => {
    try {
      return (
        /^\d+$/.test(name) &&
        readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ')[1] === `${process.pid}`
      )
    } catch {
      return false // it has ended meanwhile
    }
  })
}

while (decoders.stats().busy < 2) await new Promise((resolve) => setTimeout(resolve, 5))
console.log(JSON.stringify(children()))
if (action === 'kill') process.kill(process.pid, 'SIGKILL')
if (action === 'exit') process.exit(0)
if (action === 'close') {
  decoders.close()
  for (const job of jobs) job.cancel()
  await ended
}
if (action === 'worker') {
  const worker = new Worker(new URL(import.meta.url), { workerData: [video, 'wait'] })
  await new Promise((resolve) => worker.once('online', resolve))
  await new Promise((resolve) => setTimeout(resolve, 300))
  await worker.terminate()
  for (const job of jobs) job.cancel()
  await ended
}
await ended
