// Draws lines over one axis as SVG, without a library, so that pages can show what a benchmark measured over time.

const WIDTH = 720
const HEIGHT = 260
const LEFT = 64
const RIGHT = 16
const TOP = 36
const BOTTOM = 44
const COLOURS = ['#1f6feb', '#d1570a', '#2da44e']

/**
 * @param {{ title: string, x: string, y: string, lines: { name: string, points: [number, number][] }[] }} plot labels of the
 *   axes, and the points in order of x; the y axis begins at 0
 * @returns {string}
 */
export function plot({ title, x, y, lines }) {
  const all = lines.flatMap(({ points }) => points)
  const [highestX, highestY] = [0, 1].map((axis) => roundUp(Math.max(...all.map((point) => point[axis]))))
  const across = (value) => LEFT + (value / highestX) * (WIDTH - LEFT - RIGHT)
  const down = (value) => HEIGHT - BOTTOM - (value / highestY) * (HEIGHT - TOP - BOTTOM)
  const ticks = [0, 1, 2, 3, 4].map((step) => step / 4)
  const grid = ticks.map(
    (part) =>
      `<path d="M${LEFT} ${fixed(down(part * highestY))}H${WIDTH - RIGHT}" stroke="#8884"/>` +
      `<text x="${LEFT - 8}" y="${fixed(down(part * highestY) + 4)}" text-anchor="end">${label(part * highestY)}</text>` +
      `<text x="${fixed(across(part * highestX))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label(part * highestX)}</text>`,
  )
  const drawn = lines.map(({ name, points }, index) => {
    const path = points.map(([px, py]) => `${fixed(across(px))} ${fixed(down(py))}`).join('L')
    const colour = COLOURS[index % COLOURS.length]
    return (
      `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>` +
      `<text x="${WIDTH - RIGHT}" y="${TOP - 18 + 14 * index}" text-anchor="end" fill="${colour}">${inXml(name)}</text>`
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#57606a">
<title>${inXml(title)}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="18" font-size="14">${inXml(title)}</text>
${grid.join('\n')}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${inXml(x)}</text>
<text x="14" y="${(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(TOP + HEIGHT - BOTTOM) / 2})">${inXml(y)}</text>
${drawn.join('\n')}
</svg>
`
}

/** The next number that has one significant digit or one and a half, so that quarters of it are short. */
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)))
  return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].map((step) => step * unit).find((step) => step >= value * 0.999)
}

function fixed(value) {
  return Number(value.toFixed(1))
}

function label(value) {
  return value >= 1000 ? `${Number((value / 1000).toFixed(2))}k` : String(Number(value.toFixed(2)))
}

function inXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
