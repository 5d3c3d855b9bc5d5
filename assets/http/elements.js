// Helpers that create DOM elements, for both pages.

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties)
  node.append(...children)
  return node
}

/** Wraps a wide table so that it scrolls, also by keyboard. */
export function scrolling(table, label) {
  return element('div', { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: label }, table)
}

/** Renders `…` in `text` as code. */
export function prose(text) {
  const pieces = text.split('`')
  return pieces.map((piece, at) => (at % 2 === 1 ? element('code', { textContent: piece }) : piece))
}
