import { createEmbedder } from 'cosmos-embed'

/** One embedder per process, created by the first request, since Next loads this module also while it builds. Kept on globalThis, since development reloads modules. */
function sharedEmbedder() {
  globalThis.embedder ??= createEmbedder()
  return globalThis.embedder
}

export const dynamic = 'force-dynamic'

export async function GET(request) {
  const text = new URL(request.url).searchParams.get('text')
  const embedder = await sharedEmbedder()
  const { embedding } = await embedder.embedText(text)
  return Response.json({ vectors: [[...embedding]] })
}
