/**
 * BERT's rules for text as Hugging Face's own tokenizers (Rust) apply them, and with them the model's training. Their
 * JavaScript sister, `@huggingface/tokenizers` 0.2.0, which does all the rest here, differs in these (docs/models.md):
 * it lower-cases Σ by what stands around it, does not see Han beyond U+FFFF, and takes its classes of characters from
 * Node's Unicode instead of the older tables that the vocabulary was made with.
 */
import type { Tokenizer } from '@huggingface/tokenizers'
import * as classes from './bert-characters.ts'

/** Of a BertNormalizer, in tokenizer.json. */
interface NormalizerConfig {
  clean_text?: boolean
  handle_chinese_chars?: boolean
  strip_accents?: boolean | null
  lowercase?: boolean
}

const ascii = /^[\0-\x7f]*$/
const removed = new RegExp(`[${classes.removed}]`, 'gu')
const spaces = new RegExp(`[${classes.spaces}]`, 'gu')
const han = new RegExp(`[${classes.han}]`, 'gu')
const accents = new RegExp(`[${classes.accents}]`, 'gu')
const decomposed = new RegExp(`[${classes.decomposed}]+`, 'gu')
const words = new RegExp(`[${classes.punctuation}]|[^${classes.punctuation}${classes.separators}]+`, 'gu')

function normalize(text: string, config: NormalizerConfig): string {
  let result = text
  if (config.clean_text) result = result.replace(removed, '').replace(spaces, ' ')
  if (!ascii.test(result)) {
    if (config.handle_chinese_chars) result = result.replace(han, ' $& ')
    if (config.strip_accents ?? config.lowercase) result = stripAccents(result)
  }
  // A capital sigma by itself has one small form; only within a text does `toLowerCase` choose between two.
  return config.lowercase ? result.replaceAll('Σ', 'σ').toLowerCase() : result
}

/** Marks are put in order within a run of what the tables know, which no other character is part of. */
function stripAccents(text: string): string {
  return text.replace(decomposed, (run) => run.normalize('NFD')).replace(accents, '')
}

/** The words of a normalized text. */
function split(text: string): string[] {
  return text.match(words) ?? []
}

/** Puts the exact rules in the place of the library's, where the file `json` asks for those of BERT. */
export function useExactRules(tokenizer: Tokenizer, json: Record<string, unknown>): void {
  const typeOf = (part: unknown) => (part as { type?: unknown } | null | undefined)?.type
  const { normalizer, pre_tokenizer } = json
  if (typeOf(normalizer) === 'BertNormalizer') {
    tokenizer.normalizer = (text: string) => normalize(text, normalizer as NormalizerConfig)
  }
  if (typeOf(pre_tokenizer) === 'BertPreTokenizer') tokenizer.pre_tokenizer = split
}
