// What both pages make their content of.

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

/** What is wider than the page can be scrolled by keyboard too. */
export function scrolling(table, label) {
  return element('div', { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: label }, table)
}

/** Text in which `…` is code. */
export function prose(text) {
  const pieces = text.split('`')
  return pieces.map((piece, at) => (at % 2 === 1 ? element('code', { textContent: piece }) : piece))
}
