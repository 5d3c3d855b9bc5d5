// A worker with a double of the embedder. Its options come as JSON; it fails for the names that they list, and is slow on demand.
import process from 'node:process'
import { DeviceLostError, DownloadError, MediaError } from '../../../dist/index.js'
import { startWorker } from '../../../dist/queue/index.js'
import { doubleEmbedder } from '../../bulk/double.mjs'

const { delayMs = 0, broken = '', flaky = '', lethal = '', ...options } = JSON.parse(process.argv[2])
const matches = (pattern, name) => pattern !== '' && new RegExp(pattern).test(name)

const embedder = doubleEmbedder({
  fail: (name) => {
    if (matches(lethal, name)) return new DeviceLostError('the GPU fell off the bus')
    if (matches(broken, name)) return new MediaError('the file is damaged')
    if (matches(flaky, name)) return new DownloadError('the server is away')
  },
})
const { embedVideo } = embedder
embedder.embedVideo = async (video, call) => {
  await new Promise((resolve) => setTimeout(resolve, delayMs))
  return embedVideo(video, call)
}
let announced = false
const worker = await startWorker(embedder, {
  backoffSeconds: 0.001,
  onWarning: (message) => console.error('warning:', message),
  ...options,
  onProgress: ({ embedded }) => {
    if (!announced && embedded > 0) console.log('embedding')
    announced ||= embedded > 0
  },
})
process.on('SIGTERM', () => worker.stop().catch(() => {}))
console.log('ready')
try {
  await worker.finished
} catch (failure) {
  console.error(failure.message)
  process.exitCode = 1
} finally {
  // As the program does: if Redis was away, BullMQ would keep the process alive to look for it.
  setTimeout(() => process.exit(), 100).unref()
}
