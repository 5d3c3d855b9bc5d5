import { createEmbedder, type TextEmbedding } from 'cosmos-embed'
import type { HttpOptions } from 'cosmos-embed/http'

async function main(): Promise<void> {
  const embedder = await createEmbedder()
  const { embedding }: TextEmbedding = await embedder.embedText('a red circle')
  const options: HttpOptions = { embedder, page: false }
  await embedder.dispose()
  console.log(JSON.stringify({ page: options.page, vectors: [[...embedding]] }))
}

// @ts-expect-error a number is no text
const wrong: Parameters<Awaited<ReturnType<typeof createEmbedder>>['embedText']>[0] = 7
void wrong

main()
