// Changes texts at random, always in the same way for the same seed. For the targets in scripts/fuzz/targets.

import { randomFrom } from '../random.mjs'

/** What parsers of this package look for, and what JSON, URLs and numbers go wrong with. */
const words = [
  ...[
    'data:',
    'video/',
    'video_frames/',
    ';base64,',
    ';presigned_url,',
    'https://',
    'http://',
    '{',
    '}',
    '[',
    ']',
  ],
  ...[
    ',',
    ':',
    '"',
    '\\',
    '\\u0000',
    '\\ud800',
    '\n',
    '\r\n',
    '\t',
    '\0',
    ' ',
    '=',
    '==',
    ';',
    '/',
    '../',
    '.',
    '%2f',
    '%00',
    'file://',
    '//a',
  ],
  ...['null', 'true', '-0', '1e999', '-1', '0', '9007199254740993', '1e-320', '"__proto__"', '"constructor"'],
  ...[
    '"toString"',
    '"length"',
    '\ufeff',
    '\ud83c\udf89',
    '\ud800',
    'é',
    '\u2028',
    'NaN',
    'Infinity',
    '[]',
    '{}',
  ],
]

/** Values that replace a part of a JSON document. */
const values = [
  ...[
    null,
    true,
    -1,
    0,
    1.5,
    1e308,
    2 ** 53,
    '',
    'a',
    '\0',
    '__proto__',
    '../x',
    'data:video/mp4;base64,AAAA',
  ],
  ...[[], {}, [[]], { __proto__: null, a: 1 }, ['a', 1, null], 'x'.repeat(300)],
]

/** @returns a function: whole numbers from 0 to `below` − 1 */
export function randomOf(seed) {
  const random = randomFrom(seed)
  return (below) => Math.floor(random() * below)
}

/**
 * The input of one round: a seed with one to four changes. Depends only on the arguments, so that a finding is repeated by
 * its seed and round.
 *
 * @param {readonly Buffer[]} seeds
 */
export function mutated(seeds, seed, round) {
  const below = randomOf(Math.imul(seed, 0x9e3779b1) ^ Math.imul(round + 1, 0x85ebca77))
  const pick = (list) => list[below(list.length)]
  let bytes = pick(seeds)
  // Most changes of bytes break the syntax of JSON, and with it all that comes after.
  const structured = below(3)
  for (let changes = structured === 0 ? 0 : 1 + below(3); changes > 0; changes -= 1) {
    bytes = withOtherValues(bytes, below)
  }
  if (structured === 2) return bytes
  for (let changes = 1 + below(4); changes > 0; changes -= 1)
    bytes = pick(changesOfBytes)(bytes, below, seeds)
  return bytes
}

const changesOfBytes = [
  function flip(bytes, below) {
    const copy = Buffer.from(bytes)
    if (copy.length > 0) copy[below(copy.length)] ^= 1 << below(8)
    return copy
  },
  function insertWord(bytes, below) {
    const word = Buffer.from(words[below(words.length)])
    return spliced(bytes, below(bytes.length + 1), 0, word)
  },
  function replaceByWord(bytes, below) {
    const word = Buffer.from(words[below(words.length)])
    return spliced(bytes, below(bytes.length + 1), 1 + below(8), word)
  },
  function remove(bytes, below) {
    return spliced(bytes, below(bytes.length + 1), 1 + below(below(4) === 0 ? 200 : 8), Buffer.alloc(0))
  },
  function repeat(bytes, below) {
    const from = below(bytes.length + 1)
    const part = bytes.subarray(from, from + 1 + below(40))
    const often = below(8) === 0 ? 200 : 1 + below(4)
    return spliced(bytes, from, 0, Buffer.concat(Array.from({ length: often }, () => part)))
  },
  function takeFromAnother(bytes, below, seeds) {
    const other = seeds[below(seeds.length)]
    const from = below(other.length + 1)
    return spliced(bytes, below(bytes.length + 1), below(40), other.subarray(from, from + below(200)))
  },
  function cutOff(bytes, below) {
    return bytes.subarray(0, below(bytes.length + 1))
  },
]

function spliced(bytes, at, removed, inserted) {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)])
}

/** Replaces, removes, moves or renames parts of a JSON document, or of each line that is one. */
function withOtherValues(bytes, below) {
  const lines = bytes.toString('utf8').split('\n')
  const place = below(lines.length)
  const text = lines.length > 1 && lines[place].startsWith('{') ? lines[place] : bytes.toString('utf8')
  let value
  try {
    value = JSON.parse(text)
  } catch {
    return bytes
  }
  const changed = JSON.stringify(changeOne(value, below, 0)) ?? ''
  if (text === lines[place]) lines[place] = changed
  return Buffer.from(text === lines[place] || lines.length > 1 ? lines.join('\n') : changed)
}

function changeOne(value, below, depth) {
  const isParent = typeof value === 'object' && value !== null
  if (!isParent || below(3 + depth) === 0) return values[below(values.length)]
  const keys = Object.keys(value)
  if (keys.length === 0) return values[below(values.length)]
  const key = keys[below(keys.length)]
  if (Array.isArray(value)) {
    const copy = [...value]
    if (below(4) === 0) copy.push(...Array.from({ length: below(80) }, () => value[key]))
    else copy[key] = changeOne(value[key], below, depth + 1)
    return copy
  }
  const { [key]: taken, ...rest } = value
  switch (below(4)) {
    case 0:
      return rest
    case 1:
      return { ...rest, [`${key}x`]: taken }
    default:
      return { ...rest, [key]: changeOne(taken, below, depth + 1) }
  }
}
