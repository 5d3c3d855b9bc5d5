import { readFileSync } from 'node:fs'
import { createEmbedder, MediaError, similarity } from 'cosmos-embed'

const clip = process.env.CLIP

test('what comes out is of this realm, and what goes in may be', async () => {
  const embedder = await createEmbedder()
  const text = await embedder.embedText('a red circle')
  const video = await embedder.embedVideo(clip)
  const bytes = await embedder.embedVideo(new Uint8Array(readFileSync(clip)))
  expect(text.embedding).toBeInstanceOf(Float32Array)
  expect(video.embedding).toEqual(bytes.embedding)
  expect(similarity(text, video)).toBeGreaterThan(0.5)
  await expect(embedder.embedVideo(new Uint8Array(9))).rejects.toBeInstanceOf(MediaError)
  await embedder.dispose()
})
