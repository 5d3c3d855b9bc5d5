import { createEmbedder } from 'cosmos-embed'

/** One for the process, made by the first request: while Next builds, nobody needs it. In development, modules are loaded again after every change. */
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
