/** Embeds a planned item into its rows, with retries. */
import { setTimeout as sleep } from 'node:timers/promises'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { type CosmosEmbedError, MediaError } from '../errors.ts'
import type { Embedder, Segment, TextEmbedding, VideoEmbedding, Warning } from '../types.ts'
import { type Columns, carry } from './columns.ts'
import { type PlannedItem, withRange } from './planned-item.ts'
import type { IndexDescription, IndexedItem, IndexRow } from './sink.ts'

export interface EmbedItemOptions {
  embedder: Embedder
  description: IndexDescription
  /** Maximum number of retries after retryable errors. */
  retries: number
  /** Seconds before the first retry, doubled for each further one up to 60. */
  backoffSeconds: number
  signal: AbortSignal
}

export interface EmbeddedItem extends IndexedItem {
  /** Bytes of media read. */
  bytes: number
}

/** Rejects only with what ends the run: the reason of the signal, DeviceLostError, ClosedError. */
export async function embedItem(
  item: PlannedItem,
  options: EmbedItemOptions,
): Promise<EmbeddedItem | { id: string; failure: CosmosEmbedError }> {
  const { retries, backoffSeconds, signal } = options
  for (let tries = 0; ; tries++) {
    try {
      return await embedOnce(item, options)
    } catch (thrown) {
      signal.throwIfAborted()
      const failure = toCosmosEmbedError(thrown)
      if (failure.code === 'device_lost' || failure.code === 'closed') throw failure
      if (!failure.retryable || tries >= retries) return { id: item.id, failure }
    }
    // With jitter: items mostly fail together, for the same reason, and must not retry together.
    const seconds = Math.min(60, backoffSeconds * 2 ** tries) * (0.5 + Math.random() / 2)
    await sleep(seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

async function embedOnce(item: PlannedItem, options: EmbedItemOptions): Promise<EmbeddedItem> {
  const { embedder, description, signal } = options
  const { frameTolerance, windows, columns } = description
  const { id, input } = item
  const callOptions = { priority: 'bulk', signal } as const
  if ('text' in input) {
    const result = await embedder.embedText(input.text, callOptions)
    return { id, rows: [rowOf(item, result, columns, id, null, null)], bytes: 0 }
  }
  const { start, end } = input
  const video = typeof input.video === 'function' ? await input.video() : input.video
  const range = { ...(start !== undefined && { start }), ...(end !== undefined && { end }) }
  if (!windows) {
    const result = await embedder.embedVideo(video, { ...callOptions, ...range, frameTolerance })
    const row = rowOf(item, result, columns, id, start ?? 0, end ?? null)
    return { id, rows: [row], bytes: result.media.bytesRead }
  }
  const rows: IndexRow[] = []
  let bytes = 0
  const segments = embedder.segments(video, {
    ...callOptions,
    ...range,
    frameTolerance,
    ...('shots' in windows ? windows : { windowSeconds: windows.seconds, strideSeconds: windows.stride }),
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
  return {
    id,
    uri,
    start,
    end,
    embedding,
    warnings: warnings.map(describeWarning),
    carried: carry(carried, columns),
  }
}

function describeWarning({ code, message }: Warning): string {
  return `${code}: ${message}`
}
