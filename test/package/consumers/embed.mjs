// A typical program. Arguments: two videos. Prints one line of JSON.
import { createEmbedder, embed, VERSION } from 'cosmos-embed'

const [first, second] = process.argv.slice(2)
const response = await embed({ request_type: 'bulk_video', input: [{ video: first }, { video: second }] })
const embedder = await createEmbedder()
const text = await embedder.embedText('a red circle')
const { engine } = embedder.info()
await embedder.dispose()

const vectors = [...response.data.map(({ embedding }) => embedding), text.embedding]
console.log(JSON.stringify({ version: VERSION, engine, vectors: vectors.map((vector) => [...vector]) }))
