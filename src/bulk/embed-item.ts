/** From a planned item to its rows, however often that takes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { type CosmosEmbedError, MediaError } from '../errors.ts'
import type { Embedder, Segment, TextEmbedding, VideoEmbedding, Warning } from '../types.ts'
import { type Columns, carry } from './columns.ts'
import { type PlannedItem, withRange } from './row.ts'
import type { IndexDescription, IndexedItem, IndexRow } from './sink.ts'

export interface ItemWay {
  embedder: Embedder
  description: IndexDescription
  /** Further tries for what may succeed later. */
  retries: number
  /** Before the second try; twice as many before each further one, a minute at the most. */
  backoffSeconds: number
  signal: AbortSignal
}

export interface EmbeddedItem extends IndexedItem {
  /** That were read of the media. */
  bytes: number
}

/** Rejects only with what ends the run: the reason of the signal, a device that is lost, an embedder that is closed. */
export async function embedItem(
  item: PlannedItem,
  way: ItemWay,
): Promise<EmbeddedItem | { id: string; failure: CosmosEmbedError }> {
  const { retries, backoffSeconds, signal } = way
  for (let tries = 0; ; tries++) {
    try {
      return await embedOnce(item, way)
    } catch (thrown) {
      signal.throwIfAborted()
      const failure = toCosmosEmbedError(thrown)
      if (failure.code === 'device_lost' || failure.code === 'closed') throw failure
      if (!failure.retryable || tries >= retries) return { id: item.id, failure }
    }
    // Not all of them at the same moment, since what is gone mostly is gone for all.
    const seconds = Math.min(60, backoffSeconds * 2 ** tries) * (0.5 + Math.random() / 2)
    await sleep(seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

async function embedOnce(item: PlannedItem, way: ItemWay): Promise<EmbeddedItem> {
  const { embedder, description, signal } = way
  const { frameTolerance, windows, columns } = description
  const { id, input } = item
  const options = { priority: 'bulk', signal } as const
  if ('text' in input) {
    const result = await embedder.embedText(input.text, options)
    return { id, rows: [rowOf(item, result, columns, id, null, null)], bytes: 0 }
  }
  const { start, end } = input
  const video = typeof input.video === 'function' ? await input.video() : input.video
  const range = { ...(start !== undefined && { start }), ...(end !== undefined && { end }) }
  if (!windows) {
    const result = await embedder.embedVideo(video, { ...options, ...range, frameTolerance })
    const row = rowOf(item, result, columns, id, start ?? 0, end ?? null)
    return { id, rows: [row], bytes: result.media.bytesRead }
  }
  const rows: IndexRow[] = []
  let bytes = 0
  const asked = { ...options, ...range, frameTolerance }
  const segments = embedder.segments(video, {
    ...asked,
    windowSeconds: windows.seconds,
    strideSeconds: windows.stride,
  })
  for await (const segment of segments) {
    bytes += segment.media.bytesRead
    rows.push(windowRow(item, segment, columns))
  }
  if (rows.length === 0) throw new MediaError('the video has no frame in any window')
  return { id, rows, bytes }
}

function windowRow(item: PlannedItem, segment: Segment, columns: Columns): IndexRow {
  const { start, end } = segment
  return rowOf(item, segment, columns, withRange(item.id, start, end), start, end)
}

function rowOf(
  { uri, carried }: PlannedItem,
  { embedding, warnings }: TextEmbedding | VideoEmbedding,
  columns: Columns,
  id: string,
  start: number | null,
  end: number | null,
): IndexRow {
  return { id, uri, start, end, embedding, warnings: warnings.map(worded), carried: carry(carried, columns) }
}

function worded({ code, message }: Warning): string {
  return `${code}: ${message}`
}
