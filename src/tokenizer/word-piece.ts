/** The WordPiece algorithm: splits words into pieces of the vocabulary. */

export interface WordPieceRules {
  vocabulary: ReadonlySet<string>
  /** Token of a word that cannot be composed of pieces. */
  unknown: string
  /** Prefix of a piece that does not begin its word. */
  prefix: string
  /** Longer words become unknown tokens. */
  maxWordCharacters: number
}

/**
 * Takes the longest matching piece at each position, as WordPiece is defined. If none matches, the whole word is unknown.
 *
 * Tries only lengths that occur in the vocabulary. Trying every length would take milliseconds for a word of 100 letters
 * that ends in an unknown one, and seconds for a text of such words.
 */
export function wordPieces(rules: WordPieceRules): (words: readonly string[]) => string[] {
  const { vocabulary, unknown, prefix, maxWordCharacters } = rules
  const first = lengthsByBeginning(vocabulary, '')
  const further = lengthsByBeginning(vocabulary, prefix)

  const split = (word: string): string[] => {
    const characters = [...word]
    if (characters.length > maxWordCharacters) return [unknown]
    const pieces: string[] = []
    for (let start = 0; start < characters.length; ) {
      const before = start === 0 ? '' : prefix
      const lengths = (start === 0 ? first : further).get(characters[start] as string) ?? []
      const length = lengths.find(
        (length) =>
          start + length <= characters.length &&
          vocabulary.has(before + characters.slice(start, start + length).join('')),
      )
      if (length === undefined) return [unknown]
      pieces.push(before + characters.slice(start, start + length).join(''))
      start += length
    }
    return pieces
  }
  return (words) => words.flatMap(split)
}

/** Lengths of the pieces, by their first character, in descending order. */
function lengthsByBeginning(vocabulary: ReadonlySet<string>, prefix: string): Map<string, number[]> {
  const lengths = new Map<string, Set<number>>()
  for (const token of vocabulary) {
    if (!token.startsWith(prefix)) continue
    const [beginning, ...rest] = token.slice(prefix.length)
    if (beginning === undefined) continue
    const known = lengths.get(beginning) ?? new Set()
    lengths.set(beginning, known.add(rest.length + 1))
  }
  return new Map([...lengths].map(([beginning, found]) => [beginning, [...found].sort((a, b) => b - a)]))
}
