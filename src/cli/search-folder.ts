/** Ranks the videos of a folder: embeds each once, and keeps the vectors in a cache. */
import path from 'node:path'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { similarity } from '../base/similarity.ts'
import { videoFiles } from '../bulk/walk-videos.ts'
import type { ErrorCode } from '../errors.ts'
import type { Embedder } from '../types.ts'
import type { Io } from './command.ts'
import { Progress } from './progress.ts'
import { VectorCache } from './vector-cache.ts'

export interface Hit {
  file: string
  /** Cosine similarity, −1 to 1. */
  score: number
}

export interface IndexedFile {
  file: string
  embedding: Float32Array
}

export interface FailedFile {
  file: string
  code: ErrorCode
  message: string
}

/** Embeds every video below `folder`. Files that cannot be embedded are returned in `failed`. */
export async function indexFolder(
  embedder: Embedder,
  folder: string,
  io: Io,
  frameTolerance = 0,
): Promise<{ indexed: IndexedFile[]; failed: FailedFile[]; fromCache: number }> {
  const { model } = embedder.info()
  const cache = new VectorCache(`${model.fingerprint} tolerance=${frameTolerance}`, model.embeddingDim)
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
        return { file, embedding: cached }
      }
      const { embedding } = await embedder.embedVideo(file, {
        frameTolerance,
        priority: 'bulk',
        signal: io.signal,
      })
      await cache.set(key, embedding)
      progress.tick(path.basename(file))
      return { file, embedding }
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

/** Ranks all files by cosine similarity, best first. */
export function rank(query: Float32Array, indexed: readonly IndexedFile[]): Hit[] {
  return indexed
    .map(({ file, embedding }) => ({ file, score: similarity(query, embedding) }))
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
