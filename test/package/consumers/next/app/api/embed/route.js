import { createEmbedder } from 'cosmos-embed'

// One for the process; in development, modules are loaded again after every change.
globalThis.embedder ??= createEmbedder()

export const dynamic = 'force-dynamic'

export async function GET(request) {
  const text = new URL(request.url).searchParams.get('text')
  const { embedding } = await (await globalThis.embedder).embedText(text)
  return Response.json({ vectors: [[...embedding]] })
}
