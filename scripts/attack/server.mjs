// The attacked server, in its own process: the demo model, with limits that an attack can reach.

import process from 'node:process'
import { createEmbedder, demoModel } from '../../dist/embedder.js'
import { createServer } from '../../dist/http/index.js'
import { limits } from './limits.mjs'

const { origins } = JSON.parse(process.argv[2] ?? '{}')

const embedder = createEmbedder({
  model: demoModel,
  device: 'cpu',
  urls: { http: origins, private: origins },
  decode: {
    concurrency: limits.decoders,
    limits: { maxBytes: limits.decodeBytes, maxWallSeconds: limits.decodeSeconds },
  },
  limits: {
    maxItemsInFlight: 256,
    maxBytesInFlight: limits.bytesInFlight,
    idleTimeoutMs: 2_000,
    maxDownloads: 16,
    maxDownloadsPerHost: 8,
    maxMediaBytes: limits.mediaBytes,
  },
})
const server = await createServer({
  embedder,
  maxConnections: limits.connections,
  limits: { maxBodyBytes: limits.bodyBytes, maxBodyBytesInFlight: limits.bodyBytesInFlight },
})
const url = await server.listen({ port: 0 })
await server.ready
process.on('SIGTERM', async () => {
  await server.close({ drainMs: 0 })
  await (await embedder).dispose()
})
process.send?.({ url })
