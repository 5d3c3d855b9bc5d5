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
const [first, second] = [await client.embedText('a'), await client.embedVideo(new Blob(['bytes']))]
const failure = await createEmbedder().catch((error) => error)
console.log(
  JSON.stringify({
    vectors: [[similarity(first, second)]],
    adapters: adapters.length,
    says: failure instanceof LibraryError ? failure.message : String(failure),
  }),
)
