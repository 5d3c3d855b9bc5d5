// `npm run demo`: searches the clips of examples/clips by text, with the bundled demo model. Prints the rankings and writes
// a page with the frames that the model saw and the similarity of every pair.

import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { contactSheet } from '../dist/cli/contact-sheet.js'
import { encodePng } from '../dist/cli/png.js'
import { indexFolder, rank } from '../dist/cli/search-folder.js'
import { demoModel } from '../dist/embedder.js'
import { createEmbedder, similarity } from '../dist/index.js'

const queries = [
  'a red circle going to the left',
  'something pink gets bigger',
  'a blue square going up',
  'a star falling down',
  'a red square and a blue circle',
  'a red circle and a blue square',
]

const root = fileURLToPath(new URL('..', import.meta.url))
const clips = path.join(root, 'examples', 'clips')
const output = path.resolve(process.argv[2] ?? path.join(root, 'demo-output'))
const abort = new AbortController()
process.once('SIGINT', () => abort.abort(new Error('interrupted')))
const io = { stdout: process.stdout, stderr: process.stderr, signal: abort.signal }

const embedder = await createEmbedder({ model: demoModel })
try {
  await demo()
} finally {
  await embedder.dispose()
}

async function demo() {
  const { model, engine } = embedder.info()
  say(
    `${model.id} on ONNX Runtime ${engine.version}: ` +
      `${model.frames} frames of ${model.width}×${model.height} → ${model.embeddingDim} numbers`,
  )
  say(
    'This small embedded model knows coloured shapes that move, nothing else: docs/models.md has the real one.\n',
  )

  const began = performance.now()
  const { indexed, failed, fromCache } = await indexFolder(embedder, clips, io, {
    frameTolerance: 0,
    shots: false,
  })
  if (failed.length > 0)
    throw new Error(
      `these clips could not be embedded:\n${failed.map(({ file, message }) => `${file}: ${message}`).join('\n')}`,
    )
  const elapsed = Math.round(performance.now() - began)
  say(`${indexed.length} videos embedded in ${elapsed} ms (${fromCache} taken from the cache)\n`)

  const rankings = []
  for (const query of queries) {
    const { embedding } = await embedder.embedText(query)
    const hits = rank(embedding, indexed, false)
    rankings.push({ query, embedding, best: hits[0].file })
    say(`"${query}"`)
    for (const { file, score } of hits.slice(0, 3)) say(`   ${score.toFixed(3)}  ${path.basename(file)}`)
  }

  await mkdir(output, { recursive: true })
  const page = path.join(output, 'index.html')
  await writeFile(page, await render(indexed, rankings, model))
  say(`\nThe frames and the whole table: ${path.relative(process.cwd(), page)}`)
  say('Next: npx cosmos-embed search FOLDER "text", or see the README for the library.')
}

async function render(indexed, rankings, model) {
  const sheets = new Map()
  for (const { file } of indexed) {
    const { images } = await embedder.frames(file, { signal: abort.signal })
    sheets.set(file, Buffer.from(encodePng(contactSheet(images, model.frames, 90))).toString('base64'))
  }
  const head = queries.map((query) => `<th>${escapeHtml(query)}</th>`).join('')
  const rows = indexed.map(({ file, vectors: [{ embedding }] }) => {
    const cells = rankings.map(({ embedding: query, best }) => {
      const score = similarity(query, embedding)
      const mark = best === file ? ' class="best"' : ''
      const shade = Math.max(0, Math.min(1, score)).toFixed(2)
      return `<td${mark} style="--score:${shade}">${score.toFixed(2)}</td>`
    })
    const name = escapeHtml(path.basename(file))
    const sheet = `<img src="data:image/png;base64,${sheets.get(file)}" alt="The ${model.frames} frames of ${name}">`
    return `<tr><th scope="row">${sheet}<br>${name}</th>${cells.join('')}</tr>`
  })
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>cosmos-embed: text finds video</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
  .scroll { overflow-x: auto } table { border-collapse: collapse }
  th, td { padding: .4rem .6rem; text-align: center; font-weight: normal; vertical-align: bottom }
  tbody th { text-align: left; font-size: 13px } img { max-width: 32rem; width: 100%; border-radius: 4px }
  td { font-variant-numeric: tabular-nums; vertical-align: middle;
       background: rgb(60 120 220 / calc(var(--score) * var(--score) * .8)) }
  .best { outline: 3px solid #1a7f37; outline-offset: -3px; font-weight: bold }
</style>
<h1>Text finds video</h1>
<p>Cosine similarity of each text (columns) with each video (rows), by <code>${escapeHtml(model.id)}</code>;
the best video of each text is outlined. The strips are the ${model.frames} frames that were embedded.</p>
<div class="scroll"><table><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>
</html>
`
}

function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function say(text) {
  console.log(text)
}
