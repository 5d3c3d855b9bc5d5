// POST /api/embed: a form with a file `video`, and perhaps `labels` to choose from, one a line.
import process from 'node:process'
import { CosmosEmbedError, createEmbedder, rank } from 'cosmos-embed'

export const dynamic = 'force-dynamic'

// One embedder for the process, created by the first request, because Next.js also loads this module while it builds.
// It lives on globalThis, because development loads the module again after each change.
const shared = () => {
  globalThis.embedder ??= createEmbedder({ model: process.env.MODEL })
  return globalThis.embedder
}

export async function POST(request) {
  const form = await request.formData().catch(() => undefined)
  const file = form?.get('video')
  if (!(file instanceof File)) {
    return refuse(400, 'bad_request', 'send a form with the file in the field "video"')
  }
  // Forms end their lines with both characters.
  const labels = `${form.get('labels') ?? ''}`.split(/\r?\n/).filter((line) => line.trim() !== '')
  try {
    const embedder = await shared()
    // The signal stops the work when the browser is gone. A full server refuses at once, so that no request waits unseen.
    const options = { signal: request.signal, whenFull: 'refuse' }
    const video = await embedder.embedVideo(file, options)
    const texts = await Promise.all(labels.map((label) => embedder.embedText(label, options)))
    return Response.json({
      embedding: Array.from(video.embedding),
      labels: rank(video, texts).map(({ index, score }) => ({ label: labels[index], score })),
    })
  } catch (error) {
    if (!(error instanceof CosmosEmbedError)) throw error
    const headers = error.retryAfter === undefined ? {} : { 'retry-after': `${error.retryAfter}` }
    return refuse(error.status, error.code, error.message, headers)
  }
}

function refuse(status, code, message, headers = {}) {
  return Response.json({ code, message }, { status, headers })
}
