// Embeds with the shared embedder, disposes of nothing, leaves work in progress, and must still exit.
import { createEmbedder, embed } from '../../../dist/index.js'

const [video] = process.argv.slice(2)
const { data } = await embed({ request_type: 'query', input: 'a red circle' })
console.log(data[0].embedding.length)

const embedder = await createEmbedder()
for await (const segment of embedder.segments(video, { windowSeconds: 0.2 })) {
  if (segment.start > 0.3) break
}
await embedder.segments(video, { windowSeconds: 0.2 }).next()
console.log('idle')
