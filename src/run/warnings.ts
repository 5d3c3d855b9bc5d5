/** Composes the warnings of results. */
import type { TokenizedText } from '../tokenizer/tokenizer.ts'
import type { Warning } from '../types.ts'

export function textWarnings({
  tokens: { tokens, truncated },
  looksLike,
}: {
  tokens: TokenizedText
  looksLike?: string | undefined
}): Warning[] {
  const warnings: Warning[] = []
  if (truncated) {
    warnings.push({ code: 'text_truncated', message: `the text was cut to its first ${tokens} tokens` })
  }
  if (looksLike !== undefined) {
    const message = `the text is ${looksLike} and was embedded as text: a string is never a path`
    warnings.push({ code: 'text_looks_like_media', message })
  }
  return warnings
}

/** Warnings from the addon about a file. */
export function mediaWarnings(messages: readonly string[]): Warning[] {
  return messages.map((message) => ({ code: 'media', message }))
}
