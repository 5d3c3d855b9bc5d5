import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { loadTokenizer, makeTokenizer } from '../../src/tokenizer/tokenizer.ts'
import { random } from '../embedder/random.ts'
import { removeFolders, tokenizerJson, writeTokenizer } from './bundles.ts'

afterAll(removeFolders)

const letters = 'abcdefghijklmnopqrstuvwxyz'
/** Pieces for every letter and many prefixes, so that words of a hundred letters are split letter by letter. */
const json = {
  ...tokenizerJson,
  model: {
    ...tokenizerJson.model,
    vocab: Object.fromEntries(
      [
        ...Object.keys(tokenizerJson.model.vocab),
        ...[...letters].flatMap((letter) => [letter, `##${letter}`]),
        ...[
          'the',
          'ther',
          'thermometer',
          '##the',
          '##meter',
          '##aaaa',
          'σ',
          '##σ',
          'ς',
          '##ς',
          "'",
          ':',
          '[',
          ']',
        ],
        ...['é', 'е', '##е', 'の', '##の', '각', '\u302e', '##\u302e', '文', '-', '!', '[dec]'],
      ].map((token) => [token, 0]),
    ),
  },
}
Object.keys(json.model.vocab).forEach((token, id) => {
  json.model.vocab[token] = id
})
const added = (content: string, id: number) => ({ ...tokenizerJson.added_tokens[0], content, id })
const variants = {
  usual: json,
  'without Chinese': { ...json, normalizer: { ...json.normalizer, handle_chinese_chars: false } },
  'with accents': { ...json, normalizer: { ...json.normalizer, strip_accents: false } },
  'with case': { ...json, normalizer: { ...json.normalizer, lowercase: false } },
  unclean: { ...json, normalizer: { ...json.normalizer, clean_text: false } },
  'with strange added tokens': {
    ...json,
    added_tokens: [...json.added_tokens, added('a b', 900), added('!文?', 901), added('[DEC]', 902)],
  },
  'not by the rules of BERT': { ...json, pre_tokenizer: { type: 'WhitespaceSplit' } },
}

/** The expected ids: the library encodes the whole text, then the ids are cut. */
function wholeThenCut(of: Record<string, unknown>, text: string, max: number) {
  const { ids } = makeTokenizer(of).encode(text)
  const truncated = ids.length > max
  const kept = truncated ? [...ids.slice(0, max - 1), ids.at(-1)] : ids
  return { ids: kept, truncated }
}

const atoms = [
  ...[...'ab the thermometer red cars zzz'].map(String),
  ...[
    ' ',
    ' ',
    ' ',
    '\n',
    '\t',
    '\u00a0',
    '\u2003',
    '\u3000',
    '\u0085',
    '\u200b',
    '\ufeff',
    '\u0000',
    '\u0001',
    '\ufffd',
  ],
  ...["'", '.', ':', '^', '`', '!', '-', '_', '[', ']', '(', '"', '¿', '…', '。', '·', '\u037e', '\u2019'],
  ...[
    'Σ',
    'σ',
    'ς',
    'ΑΣ',
    "ΑΣ'",
    "'Σ",
    'İ',
    'É',
    'é',
    'e\u0301',
    'ﬁ',
    'Å',
    '각',
    'の',
    'が',
    '𐐀',
    '€',
    '🎉',
    '\ud800',
    '\udc00',
  ],
  ...[
    '中',
    '文',
    '𠀀',
    '﨎',
    '\u0300',
    '\u0316',
    '\u0345',
    '\u034f',
    '\u0f73',
    '\u302e',
    '\u{1d165}',
    '\u0e38',
    '\u05b0',
    '\u{e0100}',
  ],
  ...[
    '[CLS]',
    '[SEP]',
    '[MASK',
    '[DEC]',
    'a b',
    '!文?',
    '##',
    'a'.repeat(99),
    'a'.repeat(100),
    'a'.repeat(101),
  ],
]

function randomText(below: (n: number) => number): string {
  const pick = () => atoms[below(atoms.length)] as string
  const few = Array.from({ length: 1 + below(4) }, pick)
  let text = ''
  const wanted = below(4) === 0 ? below(3000) : below(700)
  while (text.length < wanted) {
    const kind = below(8)
    if (kind === 0) text += pick().repeat(1 + below(300))
    else if (kind === 1) text += (few[0] ?? '').repeat(1 + below(120))
    else if (kind < 4) text += pick()
    else text += few[below(few.length)]
  }
  return text
}

describe('a bounded tokenizer returns the same ids as the whole text', () => {
  test.each(Object.entries(variants))('%s', async (name, of) => {
    const below = random([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) >>> 0)
    for (const max of [3, 16, 128]) {
      const tokenizer = await loadTokenizer(writeTokenizer(of), max)
      for (let round = 0; round < 80; round++) {
        const text = randomText(below)
        const expected = wholeThenCut(of, text, max)
        if (expected.ids.length <= 2) continue
        const { ids, truncated } = tokenizer.encode(text)
        expect({ text, ids: [...ids], truncated }).toEqual({ text, ...expected })
      }
    }
  })

  test('of the demo model, for stacks of combining marks of every kind', async () => {
    const path = new URL('../../models/demo/tokenizer.json', import.meta.url).pathname
    const tokenizer = await loadTokenizer(path, 64)
    const raw = makeTokenizer(JSON.parse(readFileSync(path, 'utf8')))
    const below = random(11)
    const marks = [
      ...'\u0300\u0316\u0345\u034f\u0f73\u0f71\u302e\u302f\u093e\u20dd\u05b0\u0e38\u200d\u0001\u{1d165}\u{1d16d}',
    ]
    for (let round = 0; round < 100; round++) {
      const few = Array.from({ length: 2 + below(3) }, () => marks[below(marks.length)])
      const tower = Array.from({ length: 20 + below(300) }, () => few[below(few.length)]).join('')
      const text = `a r${tower}ed${below(2) ? 'Σ' : ' '}circle ${tower}`
      expect([...tokenizer.encode(text).ids]).toEqual(raw.encode(text).ids)
    }
  })
})
