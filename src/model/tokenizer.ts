/** Text to token ids, by the bundle's tokenizer.json. */
import { readFile } from 'node:fs/promises'
import { Tokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { InvalidRequestError, ModelError } from '../errors.ts'
import { describeIssues } from '../validate.ts'
import { useExactRules } from './bert-text.ts'

export interface TokenizedText {
  /** With [CLS] and [SEP], not padded; 3 to `maxTextTokens` long. */
  ids: Int32Array
  /** Length of `ids`: what `usage.prompt_tokens` counts. */
  tokens: number
  /** Whether the end of the text was cut off. */
  truncated: boolean
}

const tokenizerJson = z.looseObject({
  model: z.looseObject({
    type: z.literal('WordPiece'),
    vocab: z.record(z.string(), z.int().min(0)),
  }),
  padding: z.looseObject({ pad_id: z.int().min(0) }).nullish(),
})

/** Rejects with ModelError when the file is not a WordPiece tokenizer that puts [CLS] first and [SEP] last. */
export async function loadTokenizer(path: string, maxTextTokens: number): Promise<TextTokenizer> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new ModelError(`tokenizer ${path} cannot be read as JSON`, { cause })
  }
  const json = tokenizerJson.safeParse(value, { reportInput: true })
  if (!json.success) throw new ModelError(`tokenizer ${path}: ${describeIssues(json.error.issues).message}`)
  let tokenizer: Tokenizer
  try {
    tokenizer = new Tokenizer(json.data, {})
    useExactRules(tokenizer, json.data)
  } catch (cause) {
    throw new ModelError(`tokenizer ${path} is not one that this version can run`, { cause })
  }
  const vocabulary = (token: string) => {
    const id = tokenizer.token_to_id(token)
    if (id === undefined) throw new ModelError(`tokenizer ${path} has no ${token} token`)
    return id
  }
  const [first, last, ...others] = tokenizer.encode('').ids
  const separator = vocabulary('[SEP]')
  if (first !== vocabulary('[CLS]') || last !== separator || others.length > 0) {
    throw new ModelError(`tokenizer ${path} does not put [CLS] before a text and [SEP] behind it`)
  }
  const padTokenId = json.data.padding?.pad_id ?? vocabulary('[PAD]')
  return new TextTokenizer(tokenizer, maxTextTokens, separator, padTokenId)
}

/** Characters looked at first; far more than `maxTextTokens` words of any usual text. */
const firstLook = 4096

export class TextTokenizer {
  readonly padTokenId: number
  readonly #tokenizer: Tokenizer
  readonly #maxTokens: number
  readonly #separator: number

  constructor(tokenizer: Tokenizer, maxTokens: number, separator: number, padTokenId: number) {
    this.#tokenizer = tokenizer
    this.#maxTokens = maxTokens
    this.#separator = separator
    this.padTokenId = padTokenId
  }

  /** Throws InvalidRequestError for a text without any token, e.g. of spaces only. */
  encode(text: string): TokenizedText {
    const { ids, isWhole } = this.#encodeEnough(text)
    if (ids.length <= 2) {
      throw new InvalidRequestError(
        'text holds no token: it is empty, or of spaces and control characters only',
      )
    }
    const truncated = !isWhole || ids.length > this.#maxTokens
    const kept = truncated ? [...ids.slice(0, this.#maxTokens - 1), this.#separator] : ids
    return { ids: Int32Array.from(kept), tokens: kept.length, truncated }
  }

  /**
   * A long text costs what its first `maxTokens` tokens cost. Cutting before white space leaves the tokens in
   * front of the cut as they are, because no word reaches over it.
   */
  #encodeEnough(text: string): { ids: number[]; isWhole: boolean } {
    for (let look = firstLook; look < text.length; look *= 2) {
      const end = text.slice(0, look).search(/[ \t\n\r][^ \t\n\r]*$/)
      if (end <= 0) continue
      const { ids } = this.#tokenizer.encode(text.slice(0, end))
      if (ids.length > this.#maxTokens) return { ids, isWhole: false }
    }
    return { ids: this.#tokenizer.encode(text).ids, isWhole: true }
  }
}
