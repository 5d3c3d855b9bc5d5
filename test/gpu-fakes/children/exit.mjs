// Ends as its argument says while a GPU decodes and encodes.

import process from 'node:process'
import { Worker } from 'node:worker_threads'
import { createEmbedder } from '../../../dist/index.js'

const [how, model, ...clips] = process.argv.slice(2)
const cuda = { buildEngine: 'never', cpuWorkers: 0 }
const embedder = await createEmbedder({ model, device: 'cuda', cuda })
const work = () =>
  Promise.allSettled([
    ...clips.map((clip) => embedder.embedVideo(clip, { priority: 'bulk' })),
    ...clips.map((clip) => embedder.embedText(clip)),
  ])

if (how === 'dispose') {
  await work()
  await embedder.dispose()
} else if (how === 'dispose-busy') {
  const results = work()
  setTimeout(() => embedder.dispose(), 20)
  await results
} else if (how === 'exit') {
  work()
  setTimeout(() => process.exit(0), 20)
} else if (how === 'throw') {
  work()
  setTimeout(() => {
    throw new Error('on purpose')
  }, 20)
} else if (how === 'worker') {
  const url = new URL('../../../dist/index.js', import.meta.url).href
  const script = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(workerData.url).then(async ({ createEmbedder }) => {
      const embedder = await createEmbedder(workerData.options)
      parentPort.postMessage('ready')
      for (;;) await Promise.allSettled(workerData.clips.map((clip) => embedder.embedVideo(clip)))
    })`
  const workerData = { url, clips, options: { model, device: 'cuda', cuda } }
  for (let i = 0; i < 3; i += 1) {
    const worker = new Worker(script, { eval: true, workerData })
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await new Promise((resolve) => setTimeout(resolve, 30 * i))
    await worker.terminate()
  }
  await work()
  await embedder.dispose()
} else {
  throw new Error(`no such way to end: ${how}`)
}
console.log('reached the end')
