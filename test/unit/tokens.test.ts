/** Compares ids of texts in all scripts with those of Hugging Face's tokenizers: scripts/goldens/make_tokens.py. */
import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { loadTokenizer, type TextTokenizer } from '../../src/tokenizer/tokenizer.ts'
import { removeFolders, tokenizerJson, writeTokenizer } from './bundles.ts'

afterAll(removeFolders)

interface Golden {
  ranges: string[]
  pieces: string[]
  /** Five digits for each text, a hundred texts a line. */
  hashes: string[]
}
const golden = JSON.parse(readFileSync(new URL('goldens/tokens.json', import.meta.url), 'utf8')) as Golden
const ranges = golden.ranges.map((range) => range.split('-').map((code) => Number.parseInt(code, 16)))
const hashes = golden.hashes.flatMap((line) => line.match(/.{5}/g) ?? [])

/** mulberry32, identical to the script's. */
function makeRandom(seed: number): (count: number) => number {
  let state = seed
  return (count) => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) % count
  }
}

function textOf(seed: number): string {
  const below = makeRandom(seed)
  let text = ''
  const scripts = 1 + below(6)
  for (let script = 0; script < scripts; script++) {
    const [first = 0, last = 0] = ranges[below(ranges.length)] ?? []
    const characters = below(12)
    for (let character = 0; character < characters; character++) {
      if (below(5) === 0) text += golden.pieces[below(golden.pieces.length)]
      else text += String.fromCodePoint(first + below(last - first + 1))
    }
  }
  return text
}

/** Every character of the ranges is a token, so that the ids show what became of each. */
function writeCharacters(): string {
  const codes = new Set<number>()
  for (const [first = 0, last = 0] of [...ranges, [0x21, 0x30ff]]) {
    for (let code = first; code <= last; code++) codes.add(code)
  }
  const vocab: Record<string, number> = Object.fromEntries(
    tokenizerJson.added_tokens.map(({ content, id }) => [content, id]),
  )
  let next = tokenizerJson.added_tokens.length
  for (const code of [...codes].sort((a, b) => a - b)) {
    for (const token of [String.fromCodePoint(code), `##${String.fromCodePoint(code)}`]) {
      if (vocab[token] === undefined) vocab[token] = next++
    }
  }
  return writeTokenizer({ ...tokenizerJson, model: { ...tokenizerJson.model, vocab } })
}

function fnv1a(ids: Iterable<number>): number {
  let value = 0x811c9dc5
  for (const id of ids) {
    for (let shift = 0; shift < 24; shift += 8) value = Math.imul(value ^ ((id >> shift) & 255), 0x01000193)
  }
  return value >>> 0
}

/** A text without tokens is refused here, while Hugging Face returns [CLS] [SEP]. */
function idsOf(tokenizer: TextTokenizer, text: string): Iterable<number> {
  try {
    return tokenizer.encode(text).ids
  } catch {
    return [2, 3]
  }
}

test('ten thousand texts have the ids that Hugging Face’s tokenizers give them', async () => {
  const tokenizer = await loadTokenizer(writeCharacters(), 100_000)
  expect(hashes).toHaveLength(10_000)
  const wrong = hashes.flatMap((hash, seed) => {
    const text = textOf(seed)
    const found = (fnv1a(idsOf(tokenizer, text)) & 0xfffff).toString(16).padStart(5, '0')
    return found === hash ? [] : [{ seed, text }]
  })
  expect(wrong).toEqual([])
})
