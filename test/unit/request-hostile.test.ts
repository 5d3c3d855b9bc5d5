import { expect, test } from 'vitest'
import { parseInputString } from '../../src/request/data-uri.ts'
import { likeness } from '../../src/request/media-likeness.ts'
import { random } from '../embedder/random.ts'

const atoms = [
  ...[
    ' ',
    '\t',
    '\n',
    ';',
    ',',
    '=',
    '"',
    '{',
    '}',
    '/',
    ':',
    '.',
    '?',
    '#',
    '\\',
    '~',
    '+',
    '-',
    '_',
    'a',
    'A',
    '0',
    'é',
    '🎉',
    '\u00a0',
  ],
  ...[
    'data:',
    'video/',
    'mp4',
    ';base64',
    ';presigned_url',
    'charset=',
    'https://',
    'http://',
    '; ',
    ' ;',
    ', ',
    '= ',
    '.mp4',
    '../',
    's3://',
  ],
]
const beginnings = [
  ...[
    '',
    ' ',
    'data:',
    'data:video/mp4',
    'data:video/mp4;a=',
    'data:video/mp4;a="',
    'data:text/plain;',
    'https://a',
    './',
    'a.',
  ],
  ...[
    'data:video_frames/jpg;base64,{',
    'data:video_frames/jpg;presigned_url,{https://a',
    'data:video/mp4;presigned_url,https://a',
  ],
]
const ends = ['', 'x', ',', '}', ' ', '!', '"', ';base64', '.mp4', ',https://b}']

/** Milliseconds. Exponential backtracking would take far longer. */
const bound = 2_000

test('parsing any string takes time proportional to its length', () => {
  const below = random(20)
  const pick = (list: readonly string[]) => list[below(list.length)] as string
  for (let round = 0; round < 1500; round++) {
    const unit = Array.from({ length: 1 + below(3) }, () => pick(atoms)).join('')
    // Quadratic time shows in long strings, exponential time in short ones.
    const length = [60, 500, 8_000, 100_000][below(4)] as number
    const text = pick(beginnings) + unit.repeat(Math.ceil(length / unit.length)) + pick(ends)
    const began = performance.now()
    likeness(text)
    try {
      parseInputString(text, 8)
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid_request' })
    }
    expect(
      performance.now() - began,
      JSON.stringify([unit, text.slice(0, 80), text.slice(-20)]),
    ).toBeLessThan(bound)
  }
})
