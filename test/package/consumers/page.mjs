import { createEmbedder, similarity } from 'cosmos-embed'
import { cosmosEmbed } from 'cosmos-embed/ai'
import { createClient, LibraryError } from 'cosmos-embed/client'
import { cosmosFunction } from 'cosmos-embed/lancedb'
import { CosmosEmbeddings } from 'cosmos-embed/langchain'
import { cosmosEmbedding } from 'cosmos-embed/llamaindex'

const adapters = [cosmosEmbed, cosmosFunction, CosmosEmbeddings, cosmosEmbedding]
const answer = { data: [{ index: 0, embedding: [1, 0] }] }
const client = createClient({
  url: 'https://embed.example/v1',
  model: 'any',
  fetch: async () => Response.json(answer),
})
const text = await client.embedText('a')
const videos = [new Blob(['bytes']), new Blob(['bytes']).stream(), new Response('bytes')]
const found = await Promise.all(videos.map((video) => client.embedVideo(video)))
const failure = await createEmbedder().catch((error) => error)
console.log(
  JSON.stringify({
    vectors: [found.map((video) => similarity(text, video))],
    adapters: adapters.length,
    says: failure instanceof LibraryError ? failure.message : String(failure),
  }),
)
