// A page that searches a folder of videos by text:
//
//   node examples/search-page/main.mjs [FOLDER]

import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { CosmosEmbedError, createEmbedder, rank } from 'cosmos-embed'
import Fastify from 'fastify'

const folder = path.resolve(process.argv[2] ?? fileURLToPath(new URL('../clips', import.meta.url)))
const types = {
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
  '.mov': 'video/quicktime',
  '.mkv': 'video/x-matroska',
}
const typeOf = (file) => types[path.extname(file).toLowerCase()]

const embedder = await createEmbedder({ model: process.env.MODEL })

// Every video is embedded once, at the start. A damaged one is reported and left out.
const files = (await readdir(folder, { recursive: true })).filter(typeOf).sort()
const videos = []
for await (const one of embedder.embedStream(
  files.map((file) => ({ video: path.join(folder, file), key: file })),
)) {
  if (one.status === 'fulfilled') videos.push({ file: one.key, embedding: one.value.embedding })
  else console.error(`${one.key}: ${one.reason.message}`)
}

const app = Fastify()

app.get('/search', { schema: { querystring: textOnly() } }, async (request, reply) => {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  const query = await embedder.embedText(request.query.text, { signal: gone.signal, whenFull: 'refuse' })
  return rank(query, videos)
    .slice(0, 12)
    .map(({ item, score }) => ({ file: item.file, score, url: `/videos/${videos.indexOf(item)}` }))
})

// By number, so that no request can name a file that was not found above.
app.get('/videos/:number', async (request, reply) => {
  const file = videos[request.params.number]?.file
  if (file === undefined) return reply.callNotFound()
  return reply.type(typeOf(file)).send(createReadStream(path.join(folder, file)))
})

app.get('/', (_request, reply) => reply.type('text/html').send(page))

app.setErrorHandler((error, _request, reply) => {
  if (!(error instanceof CosmosEmbedError)) return reply.send(error)
  if (error.retryAfter !== undefined) reply.header('retry-after', error.retryAfter)
  return reply.code(error.status).send({ code: error.code, message: error.message })
})
app.addHook('onClose', () => embedder.dispose())

const address = await app.listen({ port: Number(process.env.PORT ?? 3000) })
console.log(`${videos.length} videos of ${folder} at ${address}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

function textOnly() {
  return { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }
}

const page = `<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Search videos</title>
<style>
  body { font: 16px system-ui; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
  input { box-sizing: border-box; font: inherit; padding: .5rem; width: 100% }
  ol { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); list-style: none; padding: 0 }
  video { aspect-ratio: 4 / 3; background: #0002; width: 100% }
</style>
<form><input name="text" aria-label="What to look for" placeholder="a red circle moving left" autofocus></form>
<ol></ol>
<script type="module">
  const list = document.querySelector('ol')
  document.querySelector('form').addEventListener('submit', async (event) => {
    event.preventDefault()
    const answer = await fetch('/search?' + new URLSearchParams(new FormData(event.target)))
    const found = await answer.json()
    list.replaceChildren(...(answer.ok ? found.map(entry) : [found.message]))
  })
  function entry({ file, score, url }) {
    const item = document.createElement('li')
    const video = Object.assign(document.createElement('video'), { src: url, controls: true, muted: true })
    item.append(video, score.toFixed(3) + ' ' + file)
    return item
  }
</script>
`
