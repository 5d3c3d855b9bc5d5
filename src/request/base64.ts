/** Strict base64 decoding that does not stall the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { InvalidRequestError } from '../errors.ts'

/** Characters decoded per turn of the event loop, which take about a millisecond. A multiple of 4. */
const sliceLength = 512 * 1024

/** White space, which is ignored because MIME breaks lines. Searched one character at a time, which is the fastest way. */
const whiteSpace = ['\n', '\r', ' ', '\t', '\f'] as const

/** The most bytes that `text` decodes to. Exact for valid base64 without white space. */
export function base64Bytes(text: string): number {
  return Math.floor((endOf(text).end * 3) / 4)
}

/** Decodes the texts of one request. Pauses depend on what it decodes in total. */
export class Base64Decoder {
  readonly #signal: AbortSignal | undefined
  #sincePause = 0

  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /**
   * Decodes the standard or the URL-safe alphabet, padded or not, with white space anywhere. Error messages call the text
   * `name`. Rejects with InvalidRequestError or `signal.reason`.
   */
  async decode(text: string, name: string): Promise<Uint8Array> {
    const { end, pads } = endOf(text)
    if (end === 0 && pads === 0) throw new InvalidRequestError(`${name} is empty: expected base64`)
    const bytes = Buffer.allocUnsafeSlow(Math.floor((end * 3) / 4))
    let written = 0
    let characters = 0
    let carried = ''
    for (let at = 0; at < end; at += sliceLength) {
      const slice = text.slice(at, Math.min(end, at + sliceLength))
      await this.#pauseWhenDue(slice.length)
      const clean = carried + withoutWhiteSpace(slice)
      const isLast = at + sliceLength >= end
      const whole = isLast ? clean : clean.slice(0, clean.length - (clean.length % 4))
      carried = clean.slice(whole.length)
      const wanted = Math.floor((whole.length * 3) / 4)
      if (bytes.write(whole, written, 'base64') !== wanted || Buffer.byteLength(whole) !== whole.length) {
        throw notBase64(name, findInvalid(text, at, end) ?? 'it cannot be decoded')
      }
      written += wanted
      characters += whole.length
      if (!isLast) continue
      if (characters % 4 === 1) {
        const why = `its ${characters} characters leave one over, after offset ${end - 1} (is it cut off?)`
        throw notBase64(name, findInvalid(text, at, end) ?? why)
      }
      checkEnd(name, { tail: whole.slice(whole.length - (whole.length % 4)), characters, end, pads })
    }
    if (end === 0) throw notBase64(name, 'character "=" at offset 0')
    return bytes.subarray(0, written)
  }

  async #pauseWhenDue(length: number): Promise<void> {
    this.#sincePause += length
    if (this.#sincePause <= sliceLength) return
    this.#sincePause = length
    await nextTurn()
    this.#signal?.throwIfAborted()
  }
}

/** The length of `text` without padding and trailing white space, and the number of padding characters, at most 2. */
function endOf(text: string): { end: number; pads: number } {
  let rest = text.trimEnd()
  let pads = 0
  for (; pads < 2 && rest.endsWith('='); pads++) rest = rest.slice(0, -1).trimEnd()
  return { end: rest.length, pads }
}

function withoutWhiteSpace(slice: string): string {
  return whiteSpace.some((character) => slice.includes(character))
    ? slice.replace(/[\n\r \t\f]+/g, '')
    : slice
}

/** Checks padding and the unused bits of the last character. Node's decoder ignores both and would return wrong bytes. */
function checkEnd(
  name: string,
  { tail, characters, end, pads }: { tail: string; characters: number; end: number; pads: number },
): void {
  if (pads > 0 && pads !== (4 - (characters % 4)) % 4) {
    throw notBase64(
      name,
      `character "=" at offset ${end}, where the padding is ${pads} long (is it cut off?)`,
    )
  }
  const again = Buffer.from(tail, 'base64').toString('base64url')
  if (again !== tail.replace(/\+/g, '-').replace(/\//g, '_')) {
    throw notBase64(name, `character "${tail.at(-1)}" at offset ${end - 1} holds stray bits (is it cut off?)`)
  }
}

/**
 * Finds an invalid character in the slice that begins at `at`, or in the slice before it, whose last characters were carried
 * over. Everything earlier was decoded successfully.
 */
function findInvalid(text: string, at: number, end: number): string | undefined {
  const from = Math.max(0, at - sliceLength)
  const invalid = /[^A-Za-z0-9+/_\-\n\r \t\f]/u.exec(text.slice(from, end))
  return invalid ? `character ${JSON.stringify(invalid[0])} at offset ${from + invalid.index}` : undefined
}

function notBase64(name: string, why: string): InvalidRequestError {
  return new InvalidRequestError(`${name} is not base64: ${why}`)
}
