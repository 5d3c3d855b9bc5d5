// The page: ranks dropped videos by a text. Vectors come from POST v1/embeddings, frames from POST page/clip.
import { element, scrolling } from './elements.js'
import { cosine, makeRow, similarities } from './rows.js'
import { Failure, failureOf, hasKey, request } from './server.js'

const byId = (id) => document.getElementById(id)
const ranking = byId('ranking')

/** A lower score is no match. A matching caption scores about 0.6 in the demo model and 0.4 in NVIDIA's; others score 0. */
const minMatchScore = 0.1

/** @type {{ name: string, file: File, vector: Float32Array, element: HTMLElement, score: number }[]} */
const videos = []
/** The text that is searched for and its vector. */
let query
/** The number of the last search. */
let latestSearch = 0
let queue = Promise.resolve()

listen()
/** Files and texts that arrive before the model is loaded wait for this. */
const served = describeModel()
showExamples()

function listen() {
  byId('choose').addEventListener('click', () => byId('files').click())
  byId('files').addEventListener('change', ({ target }) => {
    addFiles([...target.files])
    target.value = ''
  })
  const drop = byId('drop')
  // Listens on the whole page: the browser would otherwise open a file that is dropped outside the frame.
  addEventListener('dragover', (event) => {
    event.preventDefault()
    drop.classList.add('over')
  })
  addEventListener('dragleave', ({ relatedTarget }) => relatedTarget ?? drop.classList.remove('over'))
  addEventListener('drop', (event) => {
    event.preventDefault()
    drop.classList.remove('over')
    addFiles([...event.dataTransfer.files])
  })
  byId('text').addEventListener('input', debounce(search, 200))
}

/** Waits for the model, shows what it is, and resolves with its name and the size limit of files. */
async function describeModel() {
  for (;;) {
    const response = await request('v1/metadata').catch(() => undefined)
    if (response?.ok) {
      const { model, runtime, limits } = await response.json()
      byId('model').textContent =
        `${model.servedNames.join(', ')} · ${model.embeddingDim} numbers per vector · ${runtime.device.kind}`
      byId('demo').hidden = model.variant !== 'demo'
      // Links cannot send the key.
      byId('links').hidden = hasKey()
      const { maxBodyBytes } = limits.request
      // Base64 turns three bytes into four.
      return {
        name: model.servedNames[0],
        maxBytes: Math.min(limits.input.maxInlineBytes, (maxBodyBytes / 4) * 3),
      }
    }
    byId('model').textContent = await reasonOf(response)
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

async function reasonOf(response) {
  if (!response) return 'The server does not respond.'
  return response.status === 503 ? 'The model is loading …' : (await failureOf(response)).message
}

/** Offers the example clips of the package. */
async function showExamples() {
  const response = await request('page/clips/captions.json').catch(() => undefined)
  // The clips may not be installed.
  if (!response?.ok) return
  const captions = Object.entries(await response.json())
  const load = async (name) => new File([await (await request(`page/clips/${name}`)).blob()], name)
  const button = (label, names, title) => {
    const node = element('button', { type: 'button', className: 'quiet', textContent: label, title })
    node.addEventListener('click', () => addFiles(names.map((name) => ({ name, load: () => load(name) }))))
    return node
  }
  byId('clips').append(
    button(
      `All ${captions.length}`,
      captions.map(([name]) => name),
      'Every example clip',
    ),
    ...captions.map(([name, { caption }]) =>
      button(name.replace(/\.\w+$/, '').replaceAll('-', ' '), [name], caption),
    ),
  )
  byId('examples').hidden = false
}

/** Adds files, or sources whose `load` resolves with one. One at a time, to leave the server to others. */
function addFiles(sources) {
  byId('failures').replaceChildren()
  sources.forEach((source, at) => {
    const label = `${source.name} (${at + 1} of ${sources.length})`
    queue = queue.then(async () => {
      try {
        byId('progress').textContent = `${label} waits for the model …`
        const { name, maxBytes } = await served
        byId('progress').textContent = `Reading ${label} …`
        await addVideo(source.load ? await source.load() : source, name, maxBytes)
      } catch (error) {
        showFailure(error, source.name)
      }
    })
  })
  queue = queue.then(() => {
    byId('progress').textContent = ''
  })
}

async function addVideo(file, model, maxBytes) {
  if (file.size > maxBytes) {
    const most = Math.floor(maxBytes / 2 ** 20)
    throw new Failure(
      `It has ${Math.ceil(file.size / 2 ** 20)} MiB, and this server accepts ${most} MiB at most.`,
    )
  }
  const vector = await embed(`data:video/mp4;base64,${await toBase64(file)}`, model)
  const clip = await request('page/clip', {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: file,
  })
  if (!clip.ok) throw await failureOf(clip)
  const about = JSON.parse(clip.headers.get('x-clip'))
  const video = { name: file.name, file, vector, score: 0 }
  const pixels = new Uint8Array(await clip.arrayBuffer())
  video.element = makeRow(video, about, pixels, () => remove(video))
  videos.push(video)
  rank()
  drawTable()
}

function remove(video) {
  const at = videos.indexOf(video)
  videos.splice(at, 1)
  video.element.remove()
  rank()
  drawTable()
  // The focus moves to the next row, so that removing by keyboard can go on, and the page does not scroll.
  const next = videos[Math.min(at, videos.length - 1)]
  const focused = next ? next.element.querySelector('.head > button:last-child') : byId('choose')
  focused.focus({ preventScroll: true })
}

async function embed(input, model) {
  const response = await request('v1/embeddings', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ request_type: 'query', model, encoding_format: 'float', input }),
  })
  if (!response.ok) throw await failureOf(response)
  return Float32Array.from((await response.json()).data[0].embedding)
}

async function search() {
  const text = byId('text').value.trim()
  const thisSearch = ++latestSearch
  try {
    const vector = text === '' ? undefined : await embed(text, (await served).name)
    // A slow response must not overwrite the result of a later search.
    if (thisSearch !== latestSearch) return
    byId('unsearched').replaceChildren()
    query = vector && { text, vector }
    rank()
  } catch (error) {
    if (thisSearch === latestSearch) showFailure(error, text, byId('unsearched'))
  }
}

/** Sorts by score. Does not touch rows that stay in place, since moving one would stop its video. */
function rank() {
  for (const video of videos) video.score = query ? cosine(query.vector, video.vector) : 0
  if (query) videos.sort((a, b) => b.score - a.score)
  videos.forEach((video, at) => {
    const row = video.element
    if (ranking.children[at] !== row) ranking.insertBefore(row, ranking.children[at] ?? null)
    row.querySelector('.score').textContent = query ? video.score.toFixed(3) : ''
    row.querySelector('.bar > div').style.width = `${Math.max(0, video.score) * 100}%`
    row.querySelector('.bar').hidden = !query
  })
  byId('empty').hidden = videos.length > 0
  byId('said').textContent = searchResult()
}

function searchResult() {
  const [best] = videos
  if (!query || !best) return ''
  if (best.score >= minMatchScore) return `Best match: ${best.name}`
  return `Nothing here matches “${query.text}”: the best score is ${best.score.toFixed(3)}.`
}

function drawTable() {
  byId('similar').hidden = videos.length < 2
  byId('table').replaceChildren(scrolling(similarities(videos), 'Similarity of the videos'))
}

/** Shows what went wrong with `what`: a file, or the text of a search, whose failure replaces the one before. */
function showFailure(error, what, where = byId('failures')) {
  const close = element('button', { type: 'button', className: 'quiet', textContent: 'Close' })
  close.ariaLabel = `Close the message about ${what}`
  const message = element(
    'p',
    { className: 'bad' },
    element('strong', { textContent: what }),
    ` ${error.message}`,
  )
  const box = element('div', { className: 'failure' }, message, close)
  if (error.serverMessage) {
    const details = element('details', {}, element('summary', { textContent: 'Message of the server' }))
    details.append(element('p', { className: 'soft', textContent: error.serverMessage }))
    message.after(details)
  }
  close.addEventListener('click', () => {
    box.remove()
    byId('text').focus({ preventScroll: true })
  })
  if (where === byId('unsearched')) where.replaceChildren()
  where.append(box)
}

function toBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1))
    reader.onerror = () => reject(new Failure('The browser could not read this file.'))
    reader.readAsDataURL(file)
  })
}

function debounce(task, milliseconds) {
  let timer
  return () => {
    clearTimeout(timer)
    timer = setTimeout(task, milliseconds)
  }
}
