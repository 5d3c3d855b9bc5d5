/**
 * Splits a text into chunks that can be tokenised one at a time, so that a long text costs no more than its first tokens.
 * Each chunk gives the same tokens as within the whole text.
 */

/** Minimum characters of a chunk: about fifty tokens of ordinary text. */
const chunkLength = 256

/** The tokenizer's rules for words, which determine where a text may be split. */
export interface WordRules {
  /** Whether words end at white space and each punctuation character is a word, as in BERT. */
  bert: boolean
  /** Whether each Chinese character is a word as well. */
  chinese: boolean
  /** Whether control characters and then accents are removed. */
  stripsAccents: boolean
  /** Longer words become unknown tokens. */
  maxWordCharacters: number
  /** Strings that are matched before anything else, such as `[SEP]`, and must not be split. */
  added: readonly string[]
}

/** Patterns that match the characters in front of which a text may be split. */
export interface SplitPoints {
  readonly always: RegExp
  /** For texts without a sigma: also matches characters that the lower-casing of a sigma looks across. */
  readonly withoutSigma: RegExp
}

const blanks = [...' \t\n\r']
const punctuation = [...'!"#$%&()*+,-/;<=>?@[\\]_{|}~']
/** Case-ignorable punctuation in the sense of Unicode: a sigma in front of it may not be at the end of its word. */
const ignorable = [..."'.:^`"]
const chinese = '\\u3400-\\u4dbf\\u4e00-\\u9fff'

/** Undefined if words may contain any character: then a text is not split. */
export function splitPoints(rules: WordRules): SplitPoints | undefined {
  if (!rules.bert) return undefined
  // Splitting in front of a character would split every added string that contains it after its first character.
  const inside = new Set(rules.added.flatMap((text) => [...text].slice(1)))
  const pattern = (characters: readonly string[]) => {
    const free = characters.filter((character) => !inside.has(character))
    const escaped = free.map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
    const withinAdded = [...inside].some((character) => /[\u3400-\u4dbf\u4e00-\u9fff]/.test(character))
    const class_ = escaped.join('') + (rules.chinese && !withinAdded ? chinese : '')
    return class_ === '' ? undefined : new RegExp(`[${class_}]`, 'g')
  }
  const always = pattern([...blanks, ...punctuation])
  const withoutSigma = pattern([...blanks, ...punctuation, ...ignorable])
  return always && withoutSigma ? { always, withoutSigma } : undefined
}

/** Yields the chunks in order. Concatenated, they are the text. */
export function* textChunks(
  text: string,
  splitPoints: SplitPoints | undefined,
): Generator<string, void, undefined> {
  const points = splitPoints && (text.includes('\u03a3') ? splitPoints.always : splitPoints.withoutSigma)
  for (let start = 0; start < text.length; ) {
    const end = points ? nextSplit(text, points, start + chunkLength) : text.length
    yield text.slice(start, end)
    start = end
  }
}

function nextSplit(text: string, points: RegExp, from: number): number {
  if (from >= text.length) return text.length
  points.lastIndex = from
  return points.exec(text)?.index ?? text.length
}

/** Consecutive marks that are kept. No writing system stacks half as many. */
const usualMarks = 32

/** A run of marks and of characters that a tokenizer drops between them; white space is neither. */
const longStack = new RegExp(`(?:(?![\\t\\n\\r])[\\p{M}\\p{C}\\ufffd]){${usualMarks + 1},}`, 'gu')

/**
 * Returns a function that shortens long stacks of combining marks, because Unicode normalisation takes quadratic time to
 * order them. The tokens stay the same: a removed mark is either an accent, which the tokenizer removes anyway, or part of
 * a word that is too long for the vocabulary anyway. `normalize` is the tokenizer's normalizer.
 */
export function markStackLimiter(
  normalize: (text: string) => string,
  { maxWordCharacters }: WordRules,
): (text: string) => string {
  const kinds = new Map<string, Kind>()
  const kindOf = (character: string): Kind => {
    const known = kinds.get(character)
    if (known) return known
    // U+0345 has the highest combining class: whatever NFD moves in front of it can be reordered.
    const moves = `\u0345${character}`.normalize('NFD') === `${character.normalize('NFD')}\u0345`
    const kind = !moves ? 'fixed' : normalize(`a${character}`) === 'a' ? 'accent' : 'mark'
    kinds.set(character, kind)
    return kind
  }
  const shorten = (stack: string) => {
    let accents = 0
    let marks = 0
    let kept = ''
    for (const character of stack) {
      const kind = kindOf(character)
      if (kind === 'accent' && ++accents > usualMarks) continue
      if (kind === 'mark' && ++marks > maxWordCharacters + 1) continue
      kept += character
    }
    return kept
  }
  return (text) => text.replace(longStack, shorten)
}

/** `fixed`: normalisation does not move it. `accent`: the tokenizer removes it. `mark`: any other mark. */
type Kind = 'accent' | 'mark' | 'fixed'
