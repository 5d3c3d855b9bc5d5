import { createEmbedder } from 'cosmos-embed'

export async function render() {
  const embedder = await createEmbedder()
  const { embedding } = await embedder.embedText('a red circle')
  await embedder.dispose()
  return [...embedding]
}
