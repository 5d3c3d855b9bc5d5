/** Strict base64, without stalling the event loop. */
import { setImmediate as otherEvents } from 'node:timers/promises'
import { InvalidRequestError } from '../errors.ts'

/** Characters decoded between two looks at the event loop: about a millisecond. A multiple of 4. */
const sliceLength = 512 * 1024

/** Bytes that `text` decodes to, if it is valid. */
export function base64Bytes(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return Math.max(0, Math.floor(text.length / 4) * 3 - padding)
}

/** One per request: what it decodes, all texts together, counts towards the next pause. */
export class Base64Decoder {
  readonly #signal: AbortSignal | undefined
  #sincePause = 0

  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /**
   * Decodes standard, padded base64. `name` is what error messages call the text.
   * Rejects with InvalidRequestError, or with `signal.reason`.
   */
  async decode(text: string, name: string): Promise<Uint8Array> {
    if (text === '') throw new InvalidRequestError(`${name} is empty: expected base64`)
    if (text.length % 4 !== 0) {
      throw new InvalidRequestError(
        `${name} is not base64: its length ${text.length} is not a multiple of 4 (is it cut off, or not padded?)`,
      )
    }
    const bytes = Buffer.allocUnsafeSlow(base64Bytes(text))
    let written = 0
    for (let at = 0; at < text.length; at += sliceLength) {
      const slice = text.slice(at, at + sliceLength)
      await this.#pauseWhenDue(slice.length)
      const last = at + slice.length === text.length
      if (!isCanonical(slice, bytes.write(slice, written, 'base64'), last)) {
        throw new InvalidRequestError(`${name} is not base64: ${describeJunk(slice, at, last)}`)
      }
      written += base64Bytes(slice)
    }
    return bytes
  }

  async #pauseWhenDue(length: number): Promise<void> {
    this.#sincePause += length
    if (this.#sincePause <= sliceLength) return
    this.#sincePause = length
    await otherEvents()
    this.#signal?.throwIfAborted()
  }
}

/**
 * Node's decoder skips what it does not know, takes the URL-safe alphabet, and looks at the low byte of wide
 * characters only; each would pass as other bytes than the sender meant.
 */
function isCanonical(slice: string, written: number, last: boolean): boolean {
  if (written !== base64Bytes(slice) || (!last && slice.endsWith('='))) return false
  if (slice.includes('-') || slice.includes('_') || Buffer.byteLength(slice) !== slice.length) return false
  const tail = slice.slice(-4)
  return Buffer.from(tail, 'base64').toString('base64') === tail
}

function describeJunk(slice: string, offset: number, last: boolean): string {
  const junk = /[^A-Za-z0-9+/]/.exec(slice)
  const isPadding = last && junk?.[0] === '=' && junk.index >= slice.length - 2
  if (!junk || isPadding) return 'its last characters hold stray bits'
  return `character ${JSON.stringify(junk[0])} at offset ${offset + junk.index}`
}
