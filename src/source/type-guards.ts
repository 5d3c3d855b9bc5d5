/** What callers pass as media, told apart by what it can do: `instanceof` fails across realms (Jest, `vm`). */
import type { Readable } from 'node:stream'
import type { ByteStream, Bytes } from './source.ts'

const tagOf = (value: unknown) => Object.prototype.toString.call(value).slice(8, -1)

export function isBytes(value: unknown): value is Bytes {
  if (ArrayBuffer.isView(value)) return value instanceof Uint8Array || tagOf(value) === 'Uint8Array'
  return tagOf(value) === 'ArrayBuffer'
}

/** The same memory, as a `Uint8Array` of this realm. */
export function asUint8Array(bytes: Bytes): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes
  return ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)
}

export function isUrl(value: unknown): value is URL {
  return tagOf(value) === 'URL' && typeof (value as URL).href === 'string'
}

/** A `File` is one. */
export function isBlob(value: unknown): value is Blob {
  return isObject(value) && typeof value.arrayBuffer === 'function' && typeof value.size === 'number'
}

/** What `fetch` answers with. */
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

function isReadable(value: unknown): value is Readable {
  return isObject(value) && typeof value.on === 'function' && typeof value.destroy === 'function'
}

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null
}

/**
 * Answers for the streams of `inputs` from now on. A stream that fails before anybody reads it would otherwise end
 * the process, and one that is never read would keep its file open. The function that comes back closes those that
 * are still open; it is for when the call ends, whichever way.
 */
export function adoptStreams(inputs: unknown): () => void {
  const held = (Array.isArray(inputs) ? inputs : [inputs])
    .map(streamOf)
    .filter((stream) => stream !== undefined)
  // The failure stays with the stream, and whoever reads it meets it there.
  for (const stream of held) if (isReadable(stream)) stream.on('error', () => {})
  return () => held.forEach(closeStream)
}

function streamOf(input: unknown): unknown {
  const video = isObject(input) && 'video' in input ? input.video : undefined
  if (isResponse(video)) return video.body ?? undefined
  return isStream(video) ? video : undefined
}

function closeStream(stream: unknown): void {
  if (isReadable(stream)) stream.destroy()
  // One that is locked is being read, and its reader closes it.
  else if (isWebStream(stream)) {
    if (!stream.locked) void stream.cancel().catch(() => {})
  } else {
    // A generator that was never begun runs none of its code.
    const { return: end } = stream as { return?: () => unknown }
    if (typeof end === 'function') void (async () => end.call(stream))().catch(() => {})
  }
}
