/** A minimal bundle for tests that run no graph. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']
const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789']
const vocabulary = [...special, ...letters, ...letters.map((letter) => `##${letter}`)]
const ids = Object.fromEntries(vocabulary.map((token, id) => [token, id]))

const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
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
      '[CLS]': { id: '[CLS]', ids: [ids['[CLS]']], tokens: ['[CLS]'] },
      '[SEP]': { id: '[SEP]', ids: [ids['[SEP]']], tokens: ['[SEP]'] },
    },
  },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: ids,
  },
}

/** Each letter of a text is one token, besides [CLS] and [SEP]; 32 tokens at most. Removed when the process ends. */
export function tinyBundle(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-bundle-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const contents = {
    video: ['video.onnx', 'no graph'],
    text: ['text.onnx', 'no graph either'],
    tokenizer: ['tokenizer.json', JSON.stringify(tokenizer)],
  }
  const files = Object.entries(contents).map(([name, [file = '', content = '']]) => {
    writeFileSync(path.join(folder, file), content)
    const sha256 = createHash('sha256').update(content).digest('hex')
    return [name, { path: file, sha256, bytes: Buffer.byteLength(content) }]
  })
  const model = {
    formatVersion: 1,
    id: 'test/tiny',
    variant: '16p',
    description: 'for tests',
    frames: 8,
    resolution: 16,
    embeddingDim: 16,
    maxTextTokens: 32,
    files: Object.fromEntries(files),
    license: { name: 'Apache-2.0' },
  }
  writeFileSync(path.join(folder, 'model.json'), JSON.stringify(model))
  return folder
}
