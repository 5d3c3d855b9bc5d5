/** Limits nesting and number of values of a JSON text before it is parsed. */
import { InvalidRequestError } from '../errors.ts'

export interface ShapeLimits {
  /** Maximum nesting of lists and objects. */
  depth: number
  /** Maximum number of values, counting every member of every list and object. */
  values: number
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openList = 0x5b
const closeList = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/**
 * Throws InvalidRequestError over the limits. A string takes at most twice its size in memory, but ten bytes of small values
 * may take a hundred: long strings pass, millions of small values do not. Accepts invalid JSON, which the parser rejects.
 */
export function checkShape(bytes: Uint8Array, limits: ShapeLimits): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let depth = 0
  let values = 1
  for (let at = 0; at < buffer.length; at++) {
    switch (buffer[at]) {
      case quote:
        at = endOfString(buffer, at)
        break
      case openList:
      case openObject:
        values += 1
        depth += 1
        if (depth > limits.depth) {
          throw new InvalidRequestError(`the body nests more than ${limits.depth} lists and objects`)
        }
        break
      case closeList:
      case closeObject:
        depth -= 1
        break
      case comma:
      case colon:
        values += 1
        break
      default:
        continue
    }
    if (values > limits.values) {
      throw new InvalidRequestError(`the body holds more than ${limits.values} values`)
    }
  }
}

/** The index of the quote that closes the string opened at `start`, or the length of the buffer if there is none. */
function endOfString(buffer: Buffer, start: number): number {
  for (let at = start; ; ) {
    at = buffer.indexOf(quote, at + 1)
    if (at < 0) return buffer.length
    let slashes = 0
    while (buffer[at - 1 - slashes] === backslash) slashes += 1
    if (slashes % 2 === 0) return at
  }
}
