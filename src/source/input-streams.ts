/** Ownership of the streams among the inputs of a call. */
import { isObject, isReadable, isResponse, isStream, isWebStream } from './type-guards.ts'

/**
 * Takes ownership of the streams among `inputs` and returns a function that closes those still open, to be called when the
 * call ends. Until then, a stream that fails before it is read does not end the process.
 */
export function adoptStreams(inputs: unknown): () => void {
  const streams = (Array.isArray(inputs) ? inputs : [inputs])
    .map(streamOf)
    .filter((stream) => stream !== undefined)
  // The error stays with the stream, and its reader still receives it.
  for (const stream of streams) if (isReadable(stream)) stream.on('error', () => {})
  return () => streams.forEach(closeStream)
}

function streamOf(input: unknown): unknown {
  const video = isObject(input) && 'video' in input ? input.video : undefined
  if (isResponse(video)) return video.body ?? undefined
  return isStream(video) ? video : undefined
}

function closeStream(stream: unknown): void {
  if (isReadable(stream)) stream.destroy()
  // A locked stream is being read and is closed by its reader.
  else if (isWebStream(stream)) {
    if (!stream.locked) void stream.cancel().catch(() => {})
  } else {
    // On a generator that was never started, `return` runs none of its code.
    const { return: end } = stream as { return?: () => unknown }
    if (typeof end === 'function') void (async () => end.call(stream))().catch(() => {})
  }
}
