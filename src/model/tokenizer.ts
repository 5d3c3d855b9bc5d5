/** Text to token ids, by the bundle's tokenizer.json. */

export interface TokenizedText {
  /** With [CLS] and [SEP], not padded; 3 to `maxTextTokens` long. */
  ids: Int32Array
  /** Length of `ids`: what `usage.prompt_tokens` counts. */
  tokens: number
  /** Whether the end of the text was cut off. */
  truncated: boolean
}

export interface TextTokenizer {
  readonly padTokenId: number
  /** Throws InvalidRequestError for a text without any token. */
  encode(text: string): TokenizedText
}

/** Rejects with ModelError when the file is not a WordPiece tokenizer that starts with [CLS] and ends with [SEP]. */
export declare function loadTokenizer(path: string, maxTextTokens: number): Promise<TextTokenizer>
