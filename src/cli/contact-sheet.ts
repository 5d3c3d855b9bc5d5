/** Draws the contact sheet of `cosmos-embed frames`. */
import binding, { type RgbImage } from '#binding'

const GAP = 4
const BACKGROUND = 24

/** Arranges pictures in rows of `columns`, each scaled to `cellHeight` with its aspect ratio kept. */
export function contactSheet(images: readonly RgbImage[], columns: number, cellHeight: number): RgbImage {
  const thumbnails = images.map((image) => {
    const width = Math.max(1, Math.round((image.width / image.height) * cellHeight))
    return binding.resizeRgb(image, Math.min(width, cellHeight * 4), cellHeight)
  })
  const cellWidth = Math.max(...thumbnails.map(({ width }) => width))
  const rows = Math.ceil(thumbnails.length / columns)
  const sheet = blank(columns * (cellWidth + GAP) + GAP, rows * (cellHeight + GAP) + GAP)
  thumbnails.forEach((thumbnail, index) => {
    const column = index % columns
    const row = Math.floor(index / columns)
    const centring = Math.floor((cellWidth - thumbnail.width) / 2)
    paste(thumbnail, sheet, GAP + column * (cellWidth + GAP) + centring, GAP + row * (cellHeight + GAP))
  })
  return sheet
}

function blank(width: number, height: number): RgbImage {
  return { width, height, data: new Uint8Array(3 * width * height).fill(BACKGROUND) }
}

function paste(source: RgbImage, target: RgbImage, left: number, top: number): void {
  for (let y = 0; y < source.height; y += 1) {
    const row = source.data.subarray(3 * y * source.width, 3 * (y + 1) * source.width)
    target.data.set(row, 3 * ((top + y) * target.width + left))
  }
}
