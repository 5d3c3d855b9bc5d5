// Drop videos, type text, watch the ranking. Vectors come from POST v1/embeddings, frames from POST page/clip.

const byId = (id) => document.getElementById(id)
const ranking = byId('ranking')

/** @type {{ name: string, vector: Float32Array, element: HTMLElement, score: number }[]} */
const videos = []
let query
let model
let queue = Promise.resolve()

await start()

async function start() {
  byId('choose').addEventListener('click', () => byId('files').click())
  byId('files').addEventListener('change', ({ target }) => {
    addFiles(target.files)
    target.value = ''
  })
  const drop = byId('drop')
  // Anywhere on the page: a file dropped beside the frame would replace the page by the video.
  addEventListener('dragover', (event) => {
    event.preventDefault()
    drop.classList.add('over')
  })
  addEventListener('dragleave', ({ relatedTarget }) => relatedTarget ?? drop.classList.remove('over'))
  addEventListener('drop', (event) => {
    event.preventDefault()
    drop.classList.remove('over')
    addFiles(event.dataTransfer.files)
  })
  byId('text').addEventListener('input', debounce(search, 200))
  await describeModel()
}

async function describeModel() {
  for (;;) {
    const response = await fetch('v1/metadata').catch(() => undefined)
    if (response?.ok) {
      const { model: served, runtime } = await response.json()
      model = served
      byId('model').textContent =
        `${served.servedNames.join(', ')} · ${served.embeddingDim} numbers per vector · ${runtime.device.kind}`
      byId('demo').hidden = served.variant !== 'demo'
      return
    }
    byId('model').textContent = response ? 'The model is loading …' : 'The server does not answer.'
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

/** One after the other: the server is shared. */
function addFiles(files) {
  const list = [...files]
  list.forEach((file, at) => {
    queue = queue.then(async () => {
      byId('progress').textContent = `Reading ${file.name} (${at + 1} of ${list.length}) …`
      try {
        await addVideo(file)
      } catch (error) {
        say(byId('failures'), `${file.name}: ${error.message}`)
      }
    })
  })
  queue = queue.then(() => {
    byId('progress').textContent = ''
  })
}

async function addVideo(file) {
  const base64 = await toBase64(file)
  const vector = await embed(`data:video/mp4;base64,${base64}`)
  const clip = await fetch('page/clip', {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: file,
  })
  if (!clip.ok) throw await failure(clip)
  const about = JSON.parse(clip.headers.get('x-clip'))
  const pixels = new Uint8Array(await clip.arrayBuffer())
  const video = { name: file.name, vector, score: 0, element: undefined }
  video.element = show(video, about, pixels)
  videos.push(video)
  byId('empty').hidden = true
  rank()
  drawTable()
}

async function embed(input) {
  const response = await fetch('v1/embeddings', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ request_type: 'query', model: model.id, encoding_format: 'float', input }),
  })
  if (!response.ok) throw await failure(response)
  return Float32Array.from((await response.json()).data[0].embedding)
}

async function failure(response) {
  const { error } = await response.json()
  return new Error(error.message)
}

let latest = 0

async function search() {
  const text = byId('text').value.trim()
  const mine = ++latest
  try {
    const vector = text === '' ? undefined : await embed(text)
    // A slow answer must not overwrite that of a later text.
    if (mine !== latest) return
    query = vector
    rank()
  } catch (error) {
    if (mine === latest) say(byId('failures'), error.message)
  }
}

function rank() {
  for (const video of videos) video.score = query ? cosine(query, video.vector) : 0
  if (query) videos.sort((a, b) => b.score - a.score)
  for (const video of videos) {
    ranking.append(video.element)
    video.element.querySelector('.score').textContent = query ? video.score.toFixed(3) : ''
    video.element.querySelector('.bar > div').style.width = `${Math.max(0, video.score) * 100}%`
    video.element.querySelector('.bar').hidden = !query
  }
  byId('said').textContent = query && videos.length > 0 ? `Best match: ${videos[0].name}` : ''
}

function show(video, { frames, width, height, duration, size }, pixels) {
  const item = element('li', { className: 'video' })
  const head = element('div', { className: 'head' })
  const remove = element('button', { className: 'quiet', type: 'button', textContent: 'Remove' })
  remove.ariaLabel = `Remove ${video.name}`
  remove.addEventListener('click', () => {
    videos.splice(videos.indexOf(video), 1)
    item.remove()
    byId('empty').hidden = videos.length > 0
    drawTable()
    byId('choose').focus()
  })
  head.append(element('h3', { textContent: video.name }), element('span', { className: 'score' }), remove)
  const bar = element('div', { className: 'bar', hidden: true })
  bar.append(element('div'))
  const strip = element('div', { className: 'frames' })
  frames.forEach((frame, at) => {
    const figure = element('figure')
    const canvas = draw(pixels.subarray(at * 3 * size * size), size)
    // The model sees a square; people see the shape of the video.
    canvas.style.aspectRatio = `${width} / ${height}`
    canvas.role = 'img'
    canvas.ariaLabel = `Frame at ${frame.pts.toFixed(2)} seconds`
    figure.append(canvas, element('figcaption', { textContent: `${frame.pts.toFixed(2)} s` }))
    strip.append(figure)
  })
  const note = `${width} × ${height}, ${duration.toFixed(1)} s`
  item.append(head, bar, strip, element('p', { className: 'soft', textContent: note }))
  return item
}

/** Planar RGB to a canvas. */
function draw(planes, size) {
  const canvas = element('canvas', { width: size, height: size })
  const image = new ImageData(size, size)
  const area = size * size
  for (let at = 0; at < area; at += 1) {
    image.data[4 * at] = planes[at]
    image.data[4 * at + 1] = planes[area + at]
    image.data[4 * at + 2] = planes[2 * area + at]
    image.data[4 * at + 3] = 255
  }
  canvas.getContext('2d').putImageData(image, 0, 0)
  return canvas
}

function drawTable() {
  byId('similar').hidden = videos.length < 2
  const row = (cells) => {
    const line = element('tr')
    line.append(...cells)
    return line
  }
  const header = (text, scope) => element('th', { textContent: text, scope })
  byId('table').replaceChildren(
    row([element('td'), ...videos.map(({ name }) => header(name, 'col'))]),
    ...videos.map((a) => {
      const cells = videos.map((b) => {
        return element('td', { className: 'number', textContent: cosine(a.vector, b.vector).toFixed(2) })
      })
      return row([header(a.name, 'row'), ...cells])
    }),
  )
}

/** Both are unit vectors. */
function cosine(a, b) {
  return a.reduce((sum, value, at) => sum + value * b[at], 0)
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties)
}

function say(where, text) {
  where.append(element('p', { className: 'bad', textContent: text }))
}

function toBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1))
    reader.onerror = () => reject(new Error('the browser could not read the file'))
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
