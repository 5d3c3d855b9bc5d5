// `npm run parity -- --videos DIR --texts FILE --model DIR`: compares the library with a second implementation of the whole
// path that shares no code with it (scripts/reference: PyAV, Pillow, ONNX Runtime, Hugging Face tokenizers): frames,
// pictures, clips, tokens and vectors. Exits with 1 when a vector's cosine is below 0.9999 or a chosen frame differs.

import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { videoFiles } from '../dist/bulk/walk-videos.js'
import { table } from '../dist/cli/table.js'
import { createEmbedder } from '../dist/index.js'
import { extractFrames } from '../dist/run/frames.js'
import { loadTokenizer } from '../dist/tokenizer/tokenizer.js'

const lowestCosine = 0.9999
const scripts = fileURLToPath(new URL('.', import.meta.url))

const { values } = parseArgs({
  options: {
    videos: { type: 'string' },
    texts: { type: 'string' },
    model: { type: 'string', default: path.join(scripts, '..', 'models', 'demo') },
  },
})
const scratch = await mkdtemp(path.join(tmpdir(), 'cosmos-embed-parity-'))
try {
  process.exitCode = (await main()) ? 0 : 1
} finally {
  await rm(scratch, { recursive: true })
}

async function main() {
  const files = values.videos === undefined ? [] : await videoFiles(values.videos)
  const reference = await runReference(files)
  const embedder = await createEmbedder({ model: values.model })
  try {
    const videos = []
    for (const [number, wanted] of reference.videos.entries()) {
      videos.push(await compareVideo(embedder, number, wanted))
    }
    const texts = []
    const { path: directory, maxTextTokens } = embedder.info().model
    const tokenizer = await loadTokenizer(await tokenizerFile(directory), maxTextTokens)
    for (const wanted of reference.texts) texts.push(await compareText(embedder, tokenizer, wanted))
    return print(videos, texts)
  } finally {
    await embedder.dispose()
  }
}

async function runReference(files) {
  const folder = path.join(scripts, 'reference')
  const texts = values.texts === undefined ? [] : ['--texts', values.texts]
  const python = process.env.PYTHON ?? 'python3'
  const { status, error } = spawnSync(
    python,
    [
      path.join(scripts, 'export', 'environment.py'),
      path.join(folder, 'requirements.txt'),
      path.join(folder, 'main.py'),
      ...['--model', values.model, '--out', scratch, ...texts, ...files],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  if (status !== 0)
    throw new Error(`${python}: the reference ended with ${error?.message ?? `code ${status}`}`)
  return JSON.parse(await readFile(path.join(scratch, 'reference.json'), 'utf8'))
}

async function compareVideo(embedder, number, wanted) {
  /** @type {any} */
  const row = { file: path.basename(wanted.file), wanted }
  const { frames, height } = embedder.info().model
  try {
    row.found = await extractFrames(wanted.file, { frames, resolution: height })
    row.cosine = dot((await embedder.embedVideo(wanted.file)).embedding, wanted.vector ?? [])
  } catch (error) {
    return { ...row, error: error.code, ok: wanted.error !== undefined }
  }
  if (wanted.error !== undefined) return { ...row, ok: false }
  const pictures = await readFile(path.join(scratch, `${number}.images`))
  const clip = await readFile(path.join(scratch, `${number}.clip`))
  const indices = row.found.frames.map(({ index }) => index)
  const sameSize = row.found.images.every(
    ({ width, height }, i) => width === wanted.sizes[i][0] && height === wanted.sizes[i][1],
  )
  const sameFrames =
    sameSize && row.found.media.frameCount === wanted.count && `${indices}` === `${wanted.indices}`
  return {
    ...row,
    sameFrames,
    pictures: sameSize && difference(Buffer.concat(row.found.images.map(({ data }) => data)), pictures),
    clip: difference(row.found.clip, clip),
    ok: sameFrames && row.cosine >= lowestCosine,
  }
}

async function compareText(embedder, tokenizer, wanted) {
  const { ids } = tokenizer.encode(wanted.text)
  const cosine = dot((await embedder.embedText(wanted.text)).embedding, wanted.vector)
  const sameTokens = `${[...ids]}` === `${wanted.ids}`
  return {
    text: wanted.text,
    tokens: ids.length,
    sameTokens,
    cosine,
    ok: sameTokens && cosine >= lowestCosine,
  }
}

function print(videos, texts) {
  if (videos.length > 0) {
    const rows = videos.map((row) =>
      row.clip === undefined
        ? [
            row.file,
            `${row.error ?? 'read'}; reference: ${row.wanted.error?.split(':')[0] ?? 'read'}`,
            '',
            '',
            '',
          ]
        : [
            row.file,
            `${row.found.media.frameCount}${row.sameFrames ? '' : ` (reference: ${row.wanted.count})`}`,
            levels(row.pictures),
            levels(row.clip),
            row.cosine.toFixed(6),
          ],
    )
    const head = ['video', 'frames', 'pictures: mean, max', 'clip: mean, max', 'cosine', '']
    say(`\n${table([head, ...rows.map((row, i) => [...row, verdict(videos[i])])])}`)
  }
  if (texts.length > 0) {
    const rows = texts.map(({ text, tokens, sameTokens, cosine, ok }) => [
      text.length > 48 ? `${text.slice(0, 47)}…` : text,
      sameTokens ? `${tokens}` : 'other',
      cosine.toFixed(6),
      ok ? 'ok' : 'DIFFERS',
    ])
    say(`\n${table([['text', 'tokens', 'cosine', ''], ...rows])}`)
  }
  const all = [...videos, ...texts].filter((row) => verdict(row) !== 'damaged')
  const cosines = all.flatMap(({ cosine }) => (cosine === undefined || Number.isNaN(cosine) ? [] : [cosine]))
  const agree = all.filter(({ ok }) => ok).length
  say(`\n${agree} of ${all.length} agree; lowest cosine ${Math.min(...cosines).toFixed(6)}`)
  return all.length > 0 && agree === all.length
}

/** Decoders conceal damage differently, so files that the library warns about may differ. */
function verdict({ ok, found }) {
  if (ok) return 'ok'
  return found?.warnings.length > 0 ? 'damaged' : 'DIFFERS'
}

/** In 8-bit levels. */
function difference(a, b) {
  if (a.length !== b.length) return { mean: Number.NaN, max: Number.NaN }
  let sum = 0
  let max = 0
  for (let i = 0; i < a.length; i += 1) {
    const d = Math.abs(a[i] - b[i])
    sum += d
    if (d > max) max = d
  }
  return { mean: sum / a.length, max }
}

/** @param {{ mean?: number, max?: number }} [levels] */
function levels({ mean, max } = {}) {
  return mean === undefined ? 'other sizes' : `${mean.toFixed(3)}, ${max}`
}

function dot(a, b) {
  let sum = 0
  for (let i = 0; i < b.length; i += 1) sum += a[i] * b[i]
  return sum
}

async function tokenizerFile(directory) {
  const { files } = JSON.parse(await readFile(path.join(directory, 'model.json'), 'utf8'))
  return path.join(directory, files.tokenizer.path)
}

function say(text) {
  process.stdout.write(`${text}\n`)
}
