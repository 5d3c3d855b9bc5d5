/** Ranks the videos of a folder, or their shots: embeds each once, and keeps the vectors in a cache. */
import path from 'node:path'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { similarity } from '../base/similarity.ts'
import { videoFiles } from '../bulk/walk-videos.ts'
import type { ErrorCode } from '../errors.ts'
import type { Embedder } from '../types.ts'
import type { Io } from './command.ts'
import { Progress } from './progress.ts'
import { type CachedVector, VectorCache } from './vector-cache.ts'

export interface Hit {
  file: string
  /** Of the shot in seconds; only with shots. */
  start?: number
  end?: number
  /** Cosine similarity, −1 to 1. */
  score: number
}

export interface IndexedFile {
  file: string
  /** One, or one per shot. */
  vectors: CachedVector[]
}

export interface FailedFile {
  file: string
  code: ErrorCode
  message: string
}

export interface FolderOptions {
  /** Seconds. */
  frameTolerance: number
  /** One vector per shot. */
  shots: boolean
}

/** Embeds every video below `folder`. Files that cannot be embedded are returned in `failed`. */
export async function indexFolder(
  embedder: Embedder,
  folder: string,
  io: Io,
  { frameTolerance, shots }: FolderOptions,
): Promise<{ indexed: IndexedFile[]; failed: FailedFile[]; fromCache: number }> {
  const { model } = embedder.info()
  const cache = new VectorCache(
    `${model.fingerprint} tolerance=${frameTolerance}${shots ? ' shots' : ''}`,
    model.embeddingDim,
  )
  const files = await videoFiles(folder)
  const progress = new Progress(io.stderr, 'embedding', files.length)
  const failed: FailedFile[] = []
  let fromCache = 0

  const embedOne = async (file: string): Promise<IndexedFile | undefined> => {
    try {
      const key = await cache.keyOf(file, io.signal)
      const cached = await cache.get(key)
      if (cached !== undefined) {
        fromCache += 1
        progress.tick(path.basename(file))
        return { file, vectors: cached }
      }
      const options = { frameTolerance, priority: 'bulk', signal: io.signal } as const
      const vectors: CachedVector[] = []
      if (shots) {
        for await (const { start, end, embedding } of embedder.segments(file, { ...options, shots: true }))
          vectors.push({ start, end, embedding })
      } else {
        const { embedding, media } = await embedder.embedVideo(file, options)
        vectors.push({ start: 0, end: media.duration, embedding })
      }
      await cache.set(key, vectors)
      progress.tick(path.basename(file))
      return { file, vectors }
    } catch (error) {
      // An aborted file is neither done nor failed.
      io.signal.throwIfAborted()
      const { code, message } = toCosmosEmbedError(error)
      failed.push({ file, code, message })
      progress.tick(path.basename(file))
      return undefined
    }
  }

  try {
    const results = await mapWithLimit(files, 16, embedOne)
    return { indexed: results.filter((result) => result !== undefined), failed, fromCache }
  } finally {
    progress.end()
  }
}

/** Ranks all videos, or all shots, by cosine similarity, best first. */
export function rank(query: Float32Array, indexed: readonly IndexedFile[], shots: boolean): Hit[] {
  return indexed
    .flatMap(({ file, vectors }) =>
      vectors.map(({ start, end, embedding }) => ({
        file,
        ...(shots && { start, end }),
        score: similarity(query, embedding),
      })),
    )
    .sort((a, b) => b.score - a.score)
}

async function mapWithLimit<T, R>(
  items: readonly T[],
  limit: number,
  run: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  const pending = items.entries()
  const worker = async () => {
    for (const [index, item] of pending) results[index] = await run(item)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}
