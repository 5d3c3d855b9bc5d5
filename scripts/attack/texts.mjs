// Texts that cost a tokenizer more than their length suggests.

import { post, query } from './client.mjs'

const longest = 65_536
const fill = (unit) => unit.repeat(Math.floor(longest / unit.length))
const unknownAtTheEnd = (letters) => fill(`${'a'.repeat(letters)}\u{1f389} `)

const texts = {
  'words of 98 letters that end in an unknown one': unknownAtTheEnd(98),
  'a tower of combining marks': `a${fill('\u0300\u0316')}`.slice(0, longest),
  'a tower of marks that are no accents': fill('\u302e\u{1d165}'),
  'one word of emoji': fill('\u{1f389}'),
  'one word of Hangul': fill('각'),
  'Chinese without a blank': fill('中'),
  'apostrophes after a sigma': `Σ${fill("'")}`.slice(0, longest),
  'control characters': fill('\u0001a'),
  'blanks and one letter': `${' '.repeat(longest - 1)}a`,
}

const one = Object.entries(texts).map(([name, text]) => ({
  name: `text: ${name}`,
  short: false,
  statuses: [200],
  seconds: 20,
  run: async ({ url }) => [await post(url, query(text))],
}))

const many = [
  'words of 98 letters that end in an unknown one',
  'a tower of combining marks',
  'one word of Hangul',
].map((name) => ({
  name: `64 texts: ${name}`,
  short: true,
  statuses: [200],
  seconds: 60,
  run: async ({ url, size }) => [
    await post(url, query(Array(size === 'short' ? 16 : 64).fill(texts[name]), 'bulk_text')),
  ],
}))

/** Runs `callers` at once, each of which calls again as soon as it has its answer. */
async function closedLoop(call, { callers, seconds }) {
  const end = performance.now() + 1000 * seconds
  const answers = []
  const loop = async () => {
    while (performance.now() < end) answers.push(await call())
  }
  await Promise.all(Array.from({ length: callers }, loop))
  return answers
}

const small = [
  ['texts that are short for their cost', `${'a'.repeat(98)}\u{1f389} `.repeat(10)],
  ['texts of one word', 'a'],
].map(([name, text]) => ({
  name: `many requests of 64 ${name}`,
  short: true,
  statuses: [200, 429],
  seconds: 60,
  run: ({ url, size }) => {
    const body = query(Array(64).fill(text), 'bulk_text')
    return closedLoop(() => post(url, body), { callers: 8, seconds: size === 'short' ? 4 : 10 })
  },
}))

export const textAttacks = [...many, ...small, ...one]
