// What the page shows of a video: its frames as the model sees them, a player, and its similarity to the other videos.
import { element } from './elements.js'

/** A row of the ranking for the video in `file`. `onRemove` is called when the user removes it. */
export function makeRow({ name, file }, clip, pixels, onRemove) {
  const { frames, width, height, duration, size } = clip
  const play = element('button', { className: 'quiet', type: 'button', textContent: 'Play' })
  play.ariaLabel = `Play ${name}`
  const remove = element('button', { className: 'quiet', type: 'button', textContent: 'Remove' })
  remove.ariaLabel = `Remove ${name}`
  const bar = element('div', { className: 'bar', hidden: true }, element('div'))
  const strip = element('div', { className: 'frames' })
  strip.append(
    ...frames.map(({ pts }, at) => {
      const canvas = draw(pixels.subarray(at * 3 * size * size), size)
      // The model sees a square; the page shows the aspect ratio of the video.
      canvas.style.aspectRatio = `${width} / ${height}`
      canvas.role = 'img'
      canvas.ariaLabel = `Frame at ${pts.toFixed(2)} seconds`
      return element('figure', {}, canvas, element('figcaption', { textContent: `${pts.toFixed(2)} s` }))
    }),
  )
  const row = element(
    'li',
    { className: 'video' },
    element(
      'div',
      { className: 'head' },
      element('h3', { textContent: name }),
      element('span', { className: 'score' }),
      play,
      remove,
    ),
    bar,
    strip,
    element('p', { className: 'soft', textContent: `${width} × ${height}, ${duration.toFixed(1)} s` }),
  )
  const player = makePlayer(row, play, file, name)
  remove.addEventListener('click', () => {
    player.close()
    onRemove()
  })
  return row
}

/** Opens and closes a player below the frames. */
function makePlayer(row, button, file, name) {
  let video
  const close = () => {
    if (!video) return
    URL.revokeObjectURL(video.src)
    video.remove()
    video = undefined
    button.textContent = 'Play'
    button.ariaLabel = `Play ${name}`
  }
  const open = () => {
    video = element('video', { controls: true, muted: true, autoplay: true, playsInline: true })
    video.ariaLabel = name
    video.addEventListener('error', () => {
      if (!video) return
      close()
      button.disabled = true
      button.textContent = 'Cannot be played'
      button.title = 'This browser cannot decode this video. The frames show what the model sees.'
    })
    video.src = URL.createObjectURL(file)
    row.append(video)
    button.textContent = 'Close'
    button.ariaLabel = `Close ${name}`
  }
  button.addEventListener('click', () => (video ? close() : open()))
  return { close }
}

/** Draws planar RGB into a canvas. */
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

/** A table with the similarity of each pair of videos. */
export function similarities(videos) {
  const header = ({ name }, scope) => element('th', { textContent: name, scope })
  return element(
    'table',
    {},
    element('tr', {}, element('td'), ...videos.map((video) => header(video, 'col'))),
    ...videos.map((a) => {
      const cells = videos.map((b) =>
        element('td', { className: 'number', textContent: cosine(a.vector, b.vector).toFixed(2) }),
      )
      return element('tr', {}, header(a, 'row'), ...cells)
    }),
  )
}

/** Cosine similarity of two unit vectors. */
export function cosine(a, b) {
  return a.reduce((sum, value, at) => sum + value * b[at], 0)
}
