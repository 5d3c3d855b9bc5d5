/** Type guards for values that callers pass. They check capabilities, because `instanceof` fails across realms (Jest, `vm`). */
import type { Readable } from 'node:stream'
import type { ByteStream, Bytes } from './source.ts'

const tagOf = (value: unknown) => Object.prototype.toString.call(value).slice(8, -1)

export function isBytes(value: unknown): value is Bytes {
  if (ArrayBuffer.isView(value)) return value instanceof Uint8Array || tagOf(value) === 'Uint8Array'
  return tagOf(value) === 'ArrayBuffer'
}

/** Views the same memory as a `Uint8Array` of this realm. */
export function asUint8Array(bytes: Bytes): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes
  return ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)
}

export function isUrl(value: unknown): value is URL {
  return tagOf(value) === 'URL' && typeof (value as URL).href === 'string'
}

/** Also accepts a `File`. */
export function isBlob(value: unknown): value is Blob {
  return isObject(value) && typeof value.arrayBuffer === 'function' && typeof value.size === 'number'
}

/** The result of `fetch`. */
export function isResponse(value: unknown): value is Response {
  return isObject(value) && tagOf(value) === 'Response' && typeof value.arrayBuffer === 'function'
}

export function isStream(value: unknown): value is ByteStream {
  return isObject(value) && (typeof value[Symbol.asyncIterator] === 'function' || isWebStream(value))
}

export function isWebStream(value: unknown): value is ReadableStream<Uint8Array> {
  return isObject(value) && typeof value.getReader === 'function'
}

export function isSignal(value: unknown): value is AbortSignal {
  return isObject(value) && typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function'
}

export function isReadable(value: unknown): value is Readable {
  return isObject(value) && typeof value.on === 'function' && typeof value.destroy === 'function'
}

/** An object that a literal or JSON made, in any realm: its fields are its own. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (!isObject(value) || tagOf(value) !== 'Object') return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

export function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null
}
