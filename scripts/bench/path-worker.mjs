// Embeds the files of a list in a process of its own, as a user's program would: the rows of `npm run bench path` that are ours.
//   node path-worker.mjs '{"list", "model", "out", "method"}'

import { readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

import { createEmbedder } from '../../dist/index.js'

const { list, model, out, method } = JSON.parse(process.argv[2])
const files = JSON.parse(readFileSync(list, 'utf8'))

const embedder = await createEmbedder({ model, device: 'cpu' })
const items = files.map((file) => ({ video: file }))
const rows = []
for await (const one of method === 'embedMany'
  ? await embedder.embedMany(items)
  : embedder.embedStream(items)) {
  if (one.status === 'rejected') throw one.reason
  const { embedding, frames } = /** @type {import('../../dist/index.js').VideoEmbedding} */ (one.value)
  rows[one.index] = { frames: frames.map(({ index }) => index), vector: Array.from(embedding) }
}
writeFileSync(out, JSON.stringify(rows))
await embedder.dispose()
