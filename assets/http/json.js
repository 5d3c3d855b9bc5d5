// Pretty-prints JSON. Long lists and strings are folded and unfold on a click.
import { element } from './elements.js'

const maxNumbers = 3
const maxItems = 8
const maxCharacters = 200

/** Returns the nodes that show `value` inside a `pre`. */
export function pretty(value, indent = '') {
  if (typeof value === 'string' && value.length > maxCharacters) {
    const shown = JSON.stringify(value.slice(0, maxCharacters)).slice(0, -1)
    const rest = JSON.stringify(value.slice(maxCharacters)).slice(1)
    return [shown, fold(`… ${value.length - maxCharacters} more characters`, () => [rest])]
  }
  if (typeof value !== 'object' || value === null) return [JSON.stringify(value)]
  const deeper = `${indent}  `
  if (!Array.isArray(value)) {
    const entries = Object.entries(value).map(([name, one]) => [
      `${JSON.stringify(name)}: `,
      ...pretty(one, deeper),
    ])
    return block('{', entries, '}', indent)
  }
  const isFlat = value.every((one) => typeof one === 'number')
  const shown = isFlat ? maxNumbers : maxItems
  if (isFlat && value.length <= maxItems) return [JSON.stringify(value)]
  const items = value.map((one) => pretty(one, deeper))
  if (value.length <= maxItems) return block('[', items, ']', indent)
  const rest = items.slice(shown)
  const more = fold(`… ${rest.length} more`, () => (isFlat ? inLine(rest) : inLines(rest, deeper)))
  if (isFlat) return ['[', ...inLine(items.slice(0, shown)), ', ', more, ']']
  return block('[', [...items.slice(0, shown), [more]], ']', indent)
}

function block(open, entries, close, indent) {
  if (entries.length === 0) return [open + close]
  const deeper = `${indent}  `
  return [`${open}\n${deeper}`, ...inLines(entries, deeper), `\n${indent}${close}`]
}

const inLine = (items) => items.flatMap((nodes, at) => (at === 0 ? nodes : [', ', ...nodes]))
const inLines = (items, indent) =>
  items.flatMap((nodes, at) => (at === 0 ? nodes : [`,\n${indent}`, ...nodes]))

/** A button that a click replaces by the nodes that `unfolded` returns. */
function fold(label, unfolded) {
  const button = element('button', { type: 'button', className: 'fold', textContent: label })
  button.addEventListener('click', () => {
    // The focused button disappears, so the focus moves to the surrounding block.
    button.closest('pre')?.focus({ preventScroll: true })
    button.replaceWith(...unfolded())
  })
  return button
}
