// Two worker threads embed at the same time; one is terminated during its work, and the others go on.
import { Worker } from 'node:worker_threads'
import { createEmbedder } from '../../../dist/index.js'

const [video] = process.argv.slice(2)
const script = `
  const { parentPort, workerData } = require('node:worker_threads')
  import(workerData.library).then(async ({ createEmbedder }) => {
    const embedder = await createEmbedder()
    const endless = workerData.endless
    do {
      const { embedding } = await embedder.embedVideo(workerData.video)
      parentPort.postMessage([...embedding])
    } while (endless)
    await embedder.dispose()
  })`

const library = new URL('../../../dist/index.js', import.meta.url).href
const start = (endless) => new Worker(script, { eval: true, workerData: { library, video, endless } })
const message = (worker) =>
  new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })

const [endless, single] = [start(true), start(false)]
const ended = new Promise((resolve) => single.once('exit', resolve))
const [first, second] = await Promise.all([message(endless), message(single)])
await endless.terminate()
await ended

const embedder = await createEmbedder()
const { embedding } = await embedder.embedVideo(video)
await embedder.dispose()
const same = (vector) => vector.every((value, i) => Math.abs(value - embedding[i]) < 1e-5)
console.log(same(first), same(second))
