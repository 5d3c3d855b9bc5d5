// Two worker threads and the main thread use the addon at the same time. One worker is terminated while it works.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { createEmbedder } from 'cosmos-embed'

if (isMainThread) {
  const [video] = process.argv.slice(2)
  const start = () => new Worker(new URL(import.meta.url), { workerData: video })
  const doomed = start()
  const inThread = new Promise((resolve, reject) => start().once('message', resolve).once('error', reject))
  const inMain = await vectorOf(video)
  await doomed.terminate()
  console.log(JSON.stringify({ vectors: [inMain, await inThread] }))
} else {
  parentPort.postMessage(await vectorOf(workerData))
}

async function vectorOf(video) {
  const embedder = await createEmbedder()
  const { embedding } = await embedder.embedVideo(video)
  await embedder.dispose()
  return [...embedding]
}
