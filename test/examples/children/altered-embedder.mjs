// Loaded before an example. By the variable ALTERED, every embedder of its process has lost its GPU ("lost"), or takes its time
// with a video ("slow"): what no machine of a test shows by itself when it should.
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEmbedder, DeviceLostError } from 'cosmos-embed'

const embedder = await createEmbedder()
const shared = Object.getPrototypeOf(embedder)
await embedder.dispose()
const { embedVideo } = shared

shared.embedVideo = async function (...call) {
  if (process.env.ALTERED === 'lost') throw new DeviceLostError('the GPU fell off the bus')
  await sleep(300)
  return embedVideo.apply(this, call)
}
