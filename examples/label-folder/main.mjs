// Gives each video of a folder the label that describes it best, without training:
//
//   node examples/label-folder/main.mjs FOLDER 'a circle' 'a square' …

import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { createEmbedder, rank } from 'cosmos-embed'

const [folder, ...labels] = process.argv.slice(2)
if (labels.length < 2) throw new Error('pass a folder and at least two labels')

const embedder = await createEmbedder({ model: process.env.MODEL })
// The labels are embedded once. embedder.classify() would do it again for every video.
const texts = await Promise.all(labels.map((label) => embedder.embedText(label)))

const files = (await readdir(folder)).filter((name) => /\.(mp4|webm|mov|mkv)$/i.test(name)).sort()
const items = files.map((file) => ({ video: path.join(folder, file), key: file }))
for await (const one of embedder.embedStream(items, { ordered: true })) {
  if (one.status === 'rejected') {
    console.error(`${one.key}: ${one.reason.message}`)
    continue
  }
  const [best, second] = rank(one.value, texts)
  // A small margin means that the model could not decide.
  console.log(
    [one.key, labels[best.index], best.score.toFixed(3), (best.score - second.score).toFixed(3)].join('\t'),
  )
}
await embedder.dispose()
