/** Turns texts into token ids with the bundle's tokenizer.json. */
import { Tokenizer } from '@huggingface/tokenizers'
import { InvalidRequestError, ModelError } from '../errors.ts'
import { useExactRules } from './bert-text.ts'
import { markStackLimiter, type SplitPoints, splitPoints, textChunks, type WordRules } from './text-chunks.ts'
import {
  type ParsedTokenizerFile,
  readTokenizerFile,
  type TokenizerFile,
  type TokenizerJson,
} from './tokenizer-file.ts'
import { wordPieces } from './word-piece.ts'

export interface TokenizedText {
  /** Includes [CLS] and [SEP] but no padding; 3 to `maxTextTokens` long. */
  ids: Int32Array
  /** Length of `ids`, as counted by `usage.prompt_tokens`. */
  tokens: number
  /** Whether the end of the text was dropped. */
  truncated: boolean
}

/**
 * Loads a tokenizer. Rejects with ModelError if the file is not a WordPiece tokenizer that puts [CLS] before a text and [SEP]
 * after it.
 */
export async function loadTokenizer(path: string, maxTextTokens: number): Promise<TextTokenizer> {
  return makeTextTokenizer(await readTokenizerFile(path, maxTextTokens))
}

/** As {@link loadTokenizer}, for a file that was already validated. Throws ModelError. */
export function makeTextTokenizer({ file, json, padTokenId }: ParsedTokenizerFile): TextTokenizer {
  const { path } = file
  let tokenizer: Tokenizer
  try {
    tokenizer = makeTokenizer(json)
  } catch (cause) {
    throw new ModelError(`tokenizer ${path} is not one that this version can run`, { cause })
  }
  const vocabulary = (token: string) => {
    const id = tokenizer.token_to_id(token)
    if (id === undefined) throw new ModelError(`tokenizer ${path} has no ${token} token`)
    return id
  }
  const [first, last, ...others] = tokenizer.encode('').ids
  const classifier = vocabulary('[CLS]')
  const separator = vocabulary('[SEP]')
  if (first !== classifier || last !== separator || others.length > 0) {
    throw new ModelError(`tokenizer ${path} does not put [CLS] before a text and [SEP] after it`)
  }
  useFastWordPieces(tokenizer, json)
  const rules = wordRules(json)
  const { normalizer } = tokenizer
  return new TextTokenizer({
    file,
    tokenizer,
    splitPoints: splitPoints(rules),
    shorten:
      rules.stripsAccents && normalizer ? markStackLimiter((text) => normalizer(text), rules) : identity,
    classifier,
    separator,
    padTokenId: padTokenId ?? vocabulary('[PAD]'),
  })
}

/** The library's tokenizer with BERT's exact text rules, for whole texts. @internal */
export function makeTokenizer(json: Record<string, unknown>): Tokenizer {
  const tokenizer = new Tokenizer(json, {})
  useExactRules(tokenizer, json)
  return tokenizer
}

const identity = (text: string): string => text

/** Replaces the library's WordPiece algorithm, which takes milliseconds for a word of a hundred letters. */
function useFastWordPieces(tokenizer: Tokenizer, { model, added_tokens }: TokenizerJson): void {
  if (tokenizer.model === null) return
  tokenizer.model.encode = wordPieces({
    vocabulary: new Set([...Object.keys(model.vocab), ...added_tokens.map(({ content }) => content)]),
    unknown: model.unk_token,
    prefix: model.continuing_subword_prefix,
    maxWordCharacters: model.max_input_chars_per_word,
  })
}

function wordRules({ normalizer, pre_tokenizer, added_tokens, model }: TokenizerJson): WordRules {
  const { type, clean_text, handle_chinese_chars, strip_accents, lowercase }: Record<string, unknown> =
    normalizer ?? {}
  const bert = type === 'BertNormalizer' && pre_tokenizer?.type === 'BertPreTokenizer' && !model.fuse_unk
  return {
    bert,
    chinese: Boolean(handle_chinese_chars),
    stripsAccents: bert && Boolean(clean_text) && Boolean(strip_accents ?? lowercase),
    maxWordCharacters: model.max_input_chars_per_word,
    added: added_tokens.map(({ content }) => content),
  }
}

/** Maximum characters tokenised at once on the main thread: they take about a millisecond. */
const shortText = 256

interface TokenizerParts {
  file: TokenizerFile
  tokenizer: Tokenizer
  splitPoints: SplitPoints | undefined
  /** Removes characters that are expensive to normalise and do not change the tokens. */
  shorten(text: string): string
  classifier: number
  separator: number
  padTokenId: number
}

export class TextTokenizer {
  readonly padTokenId: number
  readonly file: TokenizerFile
  readonly #parts: TokenizerParts

  constructor(parts: TokenizerParts) {
    this.padTokenId = parts.padTokenId
    this.file = parts.file
    this.#parts = parts
  }

  /** Tokenises a text. Throws InvalidRequestError if it has no token, e.g. only spaces. */
  encode(text: string): TokenizedText {
    return this.#encode(text, Number.POSITIVE_INFINITY) as TokenizedText
  }

  /** As {@link TextTokenizer.encode}, but undefined for a text that would block the event loop for too long. */
  encodeShort(text: string): TokenizedText | undefined {
    return this.#encode(text, shortText)
  }

  /** Tokenises chunks until there are enough tokens. Undefined if that takes more than `budget` characters. */
  #encode(text: string, budget: number): TokenizedText | undefined {
    const { classifier, separator, splitPoints, file } = this.#parts
    const ids = [classifier]
    let characters = 0
    for (const chunk of textChunks(text, splitPoints)) {
      characters += chunk.length
      if (characters > budget) return undefined
      for (const id of this.#idsOf(chunk)) ids.push(id)
      if (ids.length >= file.maxTextTokens) break
    }
    if (ids.length === 1) {
      throw new InvalidRequestError(
        'text holds no token: it is empty, or has only spaces and control characters',
      )
    }
    const truncated = ids.length >= file.maxTextTokens
    const kept = [...ids.slice(0, file.maxTextTokens - 1), separator]
    return { ids: Int32Array.from(kept), tokens: kept.length, truncated }
  }

  #idsOf(chunk: string): number[] {
    const { tokenizer, shorten } = this.#parts
    return tokenizer.encode(shorten(chunk), { add_special_tokens: false }).ids
  }
}
