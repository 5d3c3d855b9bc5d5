import { afterAll, describe, expect, test } from 'vitest'
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts'
import { removeFolders, tokenizerJson, writeTokenizer } from './bundles.ts'

afterAll(removeFolders)

const [PAD, UNK, CLS, SEP] = [0, 1, 2, 3]
const ids = (text: string, max = 128) =>
  loadTokenizer(writeTokenizer(), max).then((tokenizer) => [...tokenizer.encode(text).ids])

describe('encode', () => {
  test.each([
    ['A red cars, turning.', [CLS, 5, 6, 7, 8, 14, 9, 10, 13, SEP]],
    ['  a\tRED\ncar  ', [CLS, 5, 6, 7, SEP]],
    ['Café', [CLS, 11, SEP]],
    ['Cafe\u0301', [CLS, 11, SEP]],
    ['CAFÉ中中a', [CLS, 11, 12, 12, 5, SEP]],
    ['🎉', [CLS, UNK, SEP]],
    ['\ud800 red', [CLS, 6, SEP]],
    ['a\u0000\ufeffa', [CLS, 5, 15, SEP]],
    ['zebra', [CLS, UNK, SEP]],
    ['aaaa', [CLS, 5, 15, 15, 15, SEP]],
    ['a'.repeat(101), [CLS, UNK, SEP]],
  ])('%j', async (text, expected) => {
    expect(await ids(text)).toEqual(expected)
  })

  test.each(['', ' ', '\n\t', '\u0000', '\ufeff'])('%j holds no token', async (text) => {
    const tokenizer = await loadTokenizer(writeTokenizer(), 128)
    expect(() => tokenizer.encode(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  test('keeps the first tokens and [SEP], and reports truncation', async () => {
    for (const max of [3, 4, 7, 128]) {
      const tokenizer = await loadTokenizer(writeTokenizer(), max)
      const words = (n: number) => Array(n).fill('red').join(' ')
      for (const n of [1, max - 2, max - 1, max, 5000].filter((n) => n > 0)) {
        const expected = [CLS, ...Array(Math.min(n, max - 2)).fill(6), SEP]
        expect(tokenizer.encode(words(n))).toEqual({
          ids: Int32Array.from(expected),
          tokens: expected.length,
          truncated: n > max - 2,
        })
      }
    }
  })

  test('of a long text returns what encoding all of it would return', async () => {
    const [short, whole] = await Promise.all(
      [128, 100_000].map((max) => loadTokenizer(writeTokenizer(), max)),
    )
    const tails = ['red, car. ', 'cafe\u0301 ', '中', 'a'.repeat(90), '\n\n', ' '.repeat(3000), '\ufeffred']
    for (let seed = 0; seed < 40; seed++) {
      let text = seed % 2 ? 'red ' : `${' '.repeat(5000)}red `
      for (let k = seed; text.length < 3000 + seed * 400 + (seed % 2 ? 0 : 5000); k = (k * 31 + 7) % 1009)
        text += tails[k % tails.length]
      const all = whole?.encode(text)
      const cut = short?.encode(text)
      if (!all || !cut) throw new Error('no tokenizer')
      const expected = all.tokens > 128 ? [...all.ids.slice(0, 127), SEP] : [...all.ids]
      expect([...cut.ids]).toEqual(expected)
      expect(cut.truncated).toBe(all.tokens > 128)
    }
  })
})

describe('the file', () => {
  test('takes the padding id from its padding section, otherwise from [PAD]', async () => {
    expect((await loadTokenizer(writeTokenizer(), 128)).padTokenId).toBe(PAD)
    const json = { ...tokenizerJson, padding: { pad_id: 4 } }
    expect((await loadTokenizer(writeTokenizer(json), 128)).padTokenId).toBe(4)
  })

  const { vocab } = tokenizerJson.model
  test.each([
    ['no JSON', '{', /cannot be read as JSON/],
    ['nothing in it', {}, /model: is required/],
    [
      'BPE',
      { ...tokenizerJson, model: { type: 'BPE', vocab, merges: [] } },
      /model.type: .*WordPiece.*found "BPE"/,
    ],
    [
      'a vocabulary of words',
      { ...tokenizerJson, model: { ...tokenizerJson.model, vocab: { a: 'b' } } },
      /model.vocab.a: /,
    ],
    [
      'no special tokens around a text',
      { ...tokenizerJson, post_processor: null },
      /does not put \[CLS\] before/,
    ],
    [
      'an unknown part',
      { ...tokenizerJson, pre_tokenizer: { type: 'Martian' } },
      /not one that this version can run/,
    ],
  ])('with %s is refused', async (_, json, message) => {
    await expect(loadTokenizer(writeTokenizer(json), 128)).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(message),
    })
  })

  test('is refused if it does not exist', async () => {
    await expect(loadTokenizer('/nowhere/tokenizer.json', 128)).rejects.toMatchObject({ code: 'model' })
  })
})
