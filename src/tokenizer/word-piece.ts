/** Words to pieces of words. */

export interface WordPieceRules {
  vocabulary: ReadonlySet<string>
  /** What a word becomes that cannot be made of pieces. */
  unknown: string
  /** Stands before a piece that does not begin its word. */
  prefix: string
  /** Longer words are unknown. */
  maxWordCharacters: number
}

/**
 * The longest piece first, as every WordPiece has it: what no piece begins makes the whole word unknown.
 *
 * Only lengths that pieces of the vocabulary have are tried. Trying all of them, each word of 100 letters that ends in an
 * unknown one costs milliseconds, and a text of such words seconds.
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

/** By the first character: how many characters the pieces have that begin with it, the longest first. */
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
