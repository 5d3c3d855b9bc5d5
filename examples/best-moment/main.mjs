// Finds the moments of a long video that a text describes:
//
//   node examples/best-moment/main.mjs VIDEO 'a red circle' [WINDOW SECONDS]

import process from 'node:process'
import { createEmbedder, rank } from 'cosmos-embed'

const [video, text, seconds = '4'] = process.argv.slice(2)
if (text === undefined) throw new Error('pass a video and a text')

const embedder = await createEmbedder({ model: process.env.MODEL })
const query = await embedder.embedText(text)

// One pass over the file. Windows overlap by half, so that a moment is not cut in two.
const windowSeconds = Number(seconds)
const windows = []
for await (const { start, end, embedding } of embedder.segments(video, {
  windowSeconds,
  strideSeconds: windowSeconds / 2,
})) {
  windows.push({ start, end, embedding })
}
await embedder.dispose()

// The best three that do not overlap.
const moments = []
for (const { item, score } of rank(query, windows)) {
  if (moments.some(({ start, end }) => item.start < end && start < item.end)) continue
  moments.push({ ...item, score })
  if (moments.length === 3) break
}

const clock = (time) => `${Math.floor(time / 60)}:${(time % 60).toFixed(1).padStart(4, '0')}`
for (const { start, end, score } of moments)
  console.log(`${clock(start)} – ${clock(end)}  ${score.toFixed(3)}`)
