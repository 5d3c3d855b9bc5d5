import { createEmbedder, type Embedder, type EmbedResponse, embed, MediaError } from 'cosmos-embed'

const response: EmbedResponse<Float32Array> = await embed({ request_type: 'query', input: 'a red circle' })
const vector: Float32Array | undefined = response.data[0]?.embedding
const embedder: Embedder = await createEmbedder({ device: 'cpu' })
const base64: string | undefined = (
  await embedder.embed({ request_type: 'bulk_text', input: ['a'], encoding_format: 'base64' })
).data[0]?.embedding
// @ts-expect-error a number is no video
await embedder.embedVideo(7)

export { base64, MediaError, vector }
