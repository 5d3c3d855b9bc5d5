/**
 * A text in pieces that can be tokenised one after the other, so that a long text costs what its first tokens cost.
 * Every piece gives the tokens that it gives inside the whole text.
 */

/** Characters of a piece, where the text has a place to cut: some fifty tokens of usual text. */
const pieceLength = 256

/** How far words of a tokenizer reach. */
export interface WordRules {
  /** Whether words end at white space and each character of punctuation is a word, as BERT's rules have it. */
  bert: boolean
  /** Whether each Chinese character is a word too. */
  chinese: boolean
  /** Whether accents are removed, and control characters before them. */
  stripsAccents: boolean
  /** Longer words are unknown. */
  maxWordCharacters: number
  /** Texts that are found before anything else, such as `[SEP]`: no cut goes through one. */
  added: readonly string[]
}

/** Finds, from `lastIndex` on, the next character in front of which the text may be cut; `undefined` where nothing may. */
export interface SplitPoints {
  readonly always: RegExp
  /** Also before characters that the lower case of a sigma looks across: for texts without one. */
  readonly withoutSigma: RegExp
}

const blanks = [...' \t\n\r']
const punctuation = [...'!"#$%&()*+,-/;<=>?@[\\]_{|}~']
/** Punctuation that Unicode calls case-ignorable: a sigma before it is not known to end its word. */
const ignorable = [..."'.:^`"]
const chinese = '\\u3400-\\u4dbf\\u4e00-\\u9fff'

/** Nothing when words may reach across any character: then a text is one piece. */
export function splitPoints(rules: WordRules): SplitPoints | undefined {
  if (!rules.bert) return undefined
  // A cut in front of a character is a cut through what holds it further in.
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

/** The pieces, in order; together they are the text. */
export function* textChunks(
  text: string,
  splitPoints: SplitPoints | undefined,
): Generator<string, void, undefined> {
  const places = splitPoints && (text.includes('\u03a3') ? splitPoints.always : splitPoints.withoutSigma)
  for (let start = 0; start < text.length; ) {
    const end = places ? nextPlace(text, places, start + pieceLength) : text.length
    yield text.slice(start, end)
    start = end
  }
}

function nextPlace(text: string, places: RegExp, from: number): number {
  if (from >= text.length) return text.length
  places.lastIndex = from
  return places.exec(text)?.index ?? text.length
}

/** Marks in a row that stay; no writing system stacks half as many. */
const usualMarks = 32

/** Marks, and what a tokenizer drops between them. White space is not among them. */
const longStack = new RegExp(`(?:(?![\\t\\n\\r])[\\p{M}\\p{C}\\ufffd]){${usualMarks + 1},}`, 'gu')

/**
 * Takes most of the marks of a stack that goes on and on out of a text: to put such a stack in order takes Unicode
 * normalisation a time that grows with its square. The tokens stay the same: what is left out is either an accent, which
 * the tokenizer removes, or makes a word longer that is too long for it anyway. `normalize` is what the tokenizer does to
 * a text first of all.
 */
export function markStackLimiter(
  normalize: (text: string) => string,
  { maxWordCharacters }: WordRules,
): (text: string) => string {
  const kinds = new Map<string, Kind>()
  const kindOf = (character: string): Kind => {
    const known = kinds.get(character)
    if (known) return known
    // The highest class that there is comes last of all marks.
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

/** Whether normalisation may move a character about, and whether it is an accent, of which nothing is left. */
type Kind = 'accent' | 'mark' | 'fixed'
