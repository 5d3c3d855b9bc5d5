/** Reads a caller's stream of any kind, one chunk at a time. Runs in browsers, too. */
import { abortable } from '../base/abort.ts'
import { SourceError } from '../errors.ts'
import type { ByteStream } from './source.ts'
import { isReadable, isWebStream } from './type-guards.ts'

/**
 * Yields what the stream yields, and closes it unless it has ended. The next chunk is asked for only when the caller comes
 * back for it, because a generator may reuse its buffer: whoever keeps a chunk copies it before. Throws `signal.reason`.
 */
export async function* chunksOf(
  stream: ByteStream,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (isWebStream(stream) && stream.locked) {
    throw new SourceError('the stream is locked: something else reads it, or has read from it')
  }
  // Through a reader, because neither the streams of every browser nor those of polyfills can be iterated.
  const web = isWebStream(stream) ? stream.getReader() : undefined
  const iterator = web ? undefined : (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  // Whoever reads is told of the error, and nobody reads after the end.
  if (isReadable(stream)) stream.on('error', () => {})
  let ended = false
  try {
    for (;;) {
      const next = web ? web.read() : (iterator as AsyncIterator<Uint8Array>).next()
      const { done, value } = await abortable(Promise.resolve(next), signal)
      ended = done === true
      if (ended) return
      yield value as Uint8Array
    }
  } finally {
    if (isReadable(stream)) stream.destroy()
    // Not awaited: if the source hangs, closing it may hang too.
    else if (!ended) void (async () => (web ? web.cancel() : iterator?.return?.()))().catch(() => {})
  }
}
