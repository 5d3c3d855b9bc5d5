/** Tiny made-up model bundles and tokenizers for tests. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const folders: string[] = []

export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cosmos-embed-model-'))
  folders.push(folder)
  return folder
}

export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
}

export const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex')

export const contents: Readonly<Record<string, string>> = {
  'video.onnx': 'not really a graph',
  'text.onnx': 'neither is this',
  'tokenizer.json': '{}',
  'weights/video.data': 'w'.repeat(3_000_000),
  LICENSE: 'You may.',
}

const entry = (path: string) => ({
  path,
  sha256: sha256(contents[path] as string),
  bytes: (contents[path] as string).length,
})

export const modelJson = {
  formatVersion: 1,
  id: 'made-up/tiny-1',
  variant: 'demo',
  description: 'for tests',
  frames: 8,
  resolution: 224 as number | [number, number],
  embeddingDim: 256,
  maxTextTokens: 128,
  files: {
    video: entry('video.onnx'),
    text: entry('text.onnx'),
    tokenizer: entry('tokenizer.json'),
    'video-data': entry('weights/video.data'),
  },
  license: { name: 'Apache-2.0', path: 'LICENSE', url: 'https://example.org/license' },
  source: { repository: 'made-up', revision: 7 },
}

/** Writes a bundle; `json` replaces the content of model.json, e.g. by text that is not JSON. */
export function writeBundle(json: unknown = modelJson): string {
  const folder = makeFolder()
  for (const [path, content] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  writeFileSync(join(folder, 'model.json'), typeof json === 'string' ? json : JSON.stringify(json))
  return folder
}

const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
const words = ['a', 'red', 'car', '##s', 'turn', '##ing', 'cafe', '中', '.', ',', '##a']

/** BERT-style uncased WordPiece, as the tokenizers library writes it. */
export const tokenizerJson = {
  version: '1.0',
  truncation: null,
  padding: null as { pad_id: number } | null,
  added_tokens: special.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [],
    special_tokens: {
      '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
      '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
    },
  },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries([...special, ...words].map((token, id) => [token, id])),
  },
}

export function writeTokenizer(json: unknown = tokenizerJson): string {
  const path = join(makeFolder(), 'tokenizer.json')
  writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json))
  return path
}
