/**
 * BERT's text rules exactly as in Hugging Face's tokenizers (Rust), which the model was trained with. The JavaScript library
 * `@huggingface/tokenizers` 0.2.0, which does the rest here, differs (docs/models.md): it lower-cases Σ depending on its
 * context, ignores Han characters beyond U+FFFF, and uses Node's Unicode instead of older tables.
 */
import type { Tokenizer } from '@huggingface/tokenizers'
import * as classes from './bert-characters.ts'

/** Options of a BertNormalizer in tokenizer.json. */
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
  // `toLowerCase` chooses between two forms of sigma by context; Rust lower-cases each character by itself.
  return config.lowercase ? result.replaceAll('Σ', 'σ').toLowerCase() : result
}

/** Normalises only runs of characters that the older tables know, so that marks are ordered as those tables order them. */
function stripAccents(text: string): string {
  return text.replace(decomposed, (run) => run.normalize('NFD')).replace(accents, '')
}

/** The words of a normalized text. */
function split(text: string): string[] {
  return text.match(words) ?? []
}

/** Replaces the library's rules by the exact ones if tokenizer.json, parsed as `json`, uses BERT's. */
export function useExactRules(tokenizer: Tokenizer, json: Record<string, unknown>): void {
  const typeOf = (part: unknown) => (part as { type?: unknown } | null | undefined)?.type
  const { normalizer, pre_tokenizer } = json
  if (typeOf(normalizer) === 'BertNormalizer') {
    tokenizer.normalizer = (text: string) => normalize(text, normalizer as NormalizerConfig)
  }
  if (typeOf(pre_tokenizer) === 'BertPreTokenizer') tokenizer.pre_tokenizer = split
}
