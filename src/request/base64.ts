/** Base64 as clients write it, without stalling the event loop. */
import { setImmediate as otherEvents } from 'node:timers/promises'
import { InvalidRequestError } from '../errors.ts'

/** Characters decoded between two looks at the event loop: about a millisecond. A multiple of 4. */
const sliceLength = 512 * 1024

/** They do not count: MIME breaks lines after 76 characters. Looked for one by one, which is the fastest way. */
const blanks = ['\n', '\r', ' ', '\t', '\f'] as const

/** Bytes that `text` decodes to, if it is valid; with blanks in it, fewer. */
export function base64Bytes(text: string): number {
  return Math.floor((endOf(text).end * 3) / 4)
}

/** One per request: what it decodes, all texts together, counts towards the next pause. */
export class Base64Decoder {
  readonly #signal: AbortSignal | undefined
  #sincePause = 0

  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /**
   * Decodes the standard or the URL-safe alphabet, padded or not, with blanks anywhere. `name` is what error messages
   * call the text. Rejects with InvalidRequestError, or with `signal.reason`.
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
      const pure = carried + withoutBlanks(slice)
      const isLast = at + sliceLength >= end
      const whole = isLast ? pure : pure.slice(0, pure.length - (pure.length % 4))
      carried = pure.slice(whole.length)
      const wanted = Math.floor((whole.length * 3) / 4)
      if (bytes.write(whole, written, 'base64') !== wanted || Buffer.byteLength(whole) !== whole.length) {
        throw notBase64(name, junkIn(text, at, end) ?? 'it cannot be decoded')
      }
      written += wanted
      characters += whole.length
      if (!isLast) continue
      if (characters % 4 === 1) {
        const why = `its ${characters} characters leave one over, after offset ${end - 1} (is it cut off?)`
        throw notBase64(name, junkIn(text, at, end) ?? why)
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
    await otherEvents()
    this.#signal?.throwIfAborted()
  }
}

/** Where the padding, or the blanks after the last character, begin. No more than two characters are padding. */
function endOf(text: string): { end: number; pads: number } {
  let rest = text.trimEnd()
  let pads = 0
  for (; pads < 2 && rest.endsWith('='); pads++) rest = rest.slice(0, -1).trimEnd()
  return { end: rest.length, pads }
}

function withoutBlanks(slice: string): string {
  return blanks.some((blank) => slice.includes(blank)) ? slice.replace(/[\n\r \t\f]+/g, '') : slice
}

/** Node's decoder skips what it does not know; each of these would pass as other bytes than the sender meant. */
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

/** Up to the slice that begins `at`. What it took over is from the slice before; what came earlier was decoded. */
function junkIn(text: string, at: number, end: number): string | undefined {
  const from = Math.max(0, at - sliceLength)
  const junk = /[^A-Za-z0-9+/_\-\n\r \t\f]/u.exec(text.slice(from, end))
  return junk ? `character ${JSON.stringify(junk[0])} at offset ${from + junk.index}` : undefined
}

function notBase64(name: string, why: string): InvalidRequestError {
  return new InvalidRequestError(`${name} is not base64: ${why}`)
}
