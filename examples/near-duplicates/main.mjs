// Finds groups of videos that show the same thing, such as copies that were cut, scaled or encoded again:
//
//   node examples/near-duplicates/main.mjs FOLDER [THRESHOLD]

import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { createEmbedder, similarity } from 'cosmos-embed'

const [folder, threshold = '0.97'] = process.argv.slice(2)
if (folder === undefined) throw new Error('pass a folder')
if (!(Number(threshold) <= 1)) throw new Error(`the threshold is "${threshold}"; expected a number up to 1`)

const embedder = await createEmbedder({ model: process.env.MODEL })
const files = (await readdir(folder, { recursive: true })).filter((name) =>
  /\.(mp4|webm|mov|mkv)$/i.test(name),
)
const videos = []
for await (const one of embedder.embedStream(
  files.map((file) => ({ video: path.join(folder, file), key: file })),
)) {
  if (one.status === 'fulfilled') videos.push({ file: one.key, embedding: one.value.embedding })
  else console.error(`${one.key}: ${one.reason.message}`)
}
await embedder.dispose()
videos.sort((a, b) => (a.file < b.file ? -1 : 1))

// Each video joins the groups of all that it resembles, so that a chain of small changes is one group. Every pair is
// compared, which is fast enough for some ten thousand videos; a vector database finds the neighbours of more.
let groups = []
for (const video of videos) {
  const near = (group) => group.some((other) => similarity(video, other) >= Number(threshold))
  groups = [...groups.filter((group) => !near(group)), [...groups.filter(near).flat(), video]]
}

const similar = groups.filter((group) => group.length > 1)
for (const group of similar) console.log(group.map(({ file }) => file).join('\t'))
console.error(`${similar.length} groups among ${videos.length} videos, from a similarity of ${threshold}`)
