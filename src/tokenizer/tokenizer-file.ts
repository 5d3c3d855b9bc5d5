/** Reads tokenizer.json. */
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { describeIssues, inPlainWords, isRecord, isText, isWhole } from '../base/validate.ts'
import { lazySchema } from '../base/zod.ts'
import { ModelError } from '../errors.ts'

/** Other fields stay as they are. */
export interface TokenizerJson extends Record<string, unknown> {
  added_tokens: ({ content: string } & Record<string, unknown>)[]
  normalizer?: ({ type: string } & Record<string, unknown>) | null | undefined
  pre_tokenizer?: ({ type: string } & Record<string, unknown>) | null | undefined
  model: {
    type: 'WordPiece'
    vocab: Record<string, number>
    unk_token: string
    continuing_subword_prefix: string
    max_input_chars_per_word: number
    fuse_unk?: unknown
  }
  padding?: { pad_id: number } | null | undefined
}

const schema = lazySchema(
  (z): z.ZodType<TokenizerJson> =>
    z.looseObject({
      added_tokens: z.array(z.looseObject({ content: z.string() })).default([]),
      normalizer: z.looseObject({ type: z.string() }).nullish(),
      pre_tokenizer: z.looseObject({ type: z.string() }).nullish(),
      model: z.looseObject({
        type: z.literal('WordPiece'),
        vocab: z.record(z.string(), z.int().min(0)),
        unk_token: z.string().default('[UNK]'),
        continuing_subword_prefix: z.string().default('##'),
        max_input_chars_per_word: z.int().min(1).default(100),
      }),
      padding: z.looseObject({ pad_id: z.int().min(0) }).nullish(),
    }),
)

/** What a tokenizer is created from, on the main thread and in the worker for long texts. */
export interface TokenizerFile {
  text: string
  /** For messages. */
  path: string
  maxTextTokens: number
}

/** A tokenizer.json that is valid, but of which no tokenizer has been made yet. */
export interface ParsedTokenizerFile {
  file: TokenizerFile
  json: TokenizerJson
  /** Undefined when only the tokenizer can tell it. */
  padTokenId: number | undefined
}

/** Reads and validates a tokenizer.json. Rejects with ModelError. */
export async function readTokenizerFile(path: string, maxTextTokens: number): Promise<ParsedTokenizerFile> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new ModelError(`tokenizer ${path} cannot be read as JSON`, { cause })
  }
  return parseTokenizerFile({ text, path, maxTextTokens })
}

/** As {@link readTokenizerFile}, for a file that was already read. Throws ModelError. */
export function parseTokenizerFile(file: TokenizerFile): ParsedTokenizerFile {
  const { text, path } = file
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ModelError(`tokenizer ${path} cannot be read as JSON`, { cause })
  }
  if (isUsual(value)) return { file, json: value, padTokenId: padTokenIdOf(value) }
  const result = schema().safeParse(value, inPlainWords)
  if (!result.success)
    throw new ModelError(`tokenizer ${path}: ${describeIssues(result.error.issues).message}`)
  return { file, json: result.data, padTokenId: padTokenIdOf(result.data) }
}

function padTokenIdOf({ padding, model, added_tokens }: TokenizerJson): number | undefined {
  if (padding) return padding.pad_id
  const id = Object.hasOwn(model.vocab, '[PAD]') ? model.vocab['[PAD]'] : undefined
  const contradicts = added_tokens.some((token) => token.content === '[PAD]' && token.id !== id)
  return contradicts ? undefined : id
}

/** Whether the file is valid with all fields present, as Hugging Face's library writes it. */
function isUsual(value: unknown): value is TokenizerJson {
  if (!isRecord(value)) return false
  const { added_tokens, normalizer, pre_tokenizer, model, padding } = value
  if (!isRecord(model)) return false
  const { type, vocab, unk_token, continuing_subword_prefix, max_input_chars_per_word } = model
  return (
    Array.isArray(added_tokens) &&
    added_tokens.every((token) => isRecord(token) && typeof token.content === 'string') &&
    [normalizer, pre_tokenizer].every((part) => part == null || (isRecord(part) && isText(part.type))) &&
    (padding == null || (isRecord(padding) && isCount(padding.pad_id))) &&
    type === 'WordPiece' &&
    isRecord(vocab) &&
    Object.values(vocab).every(isCount) &&
    typeof unk_token === 'string' &&
    typeof continuing_subword_prefix === 'string' &&
    isWhole(max_input_chars_per_word, 1, Number.MAX_SAFE_INTEGER)
  )
}

function isCount(value: unknown): boolean {
  return isWhole(value, 0, Number.MAX_SAFE_INTEGER)
}
