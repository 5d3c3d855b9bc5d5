/** The command `search`: ranks the videos of a folder by a text. */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { similarity } from '../base/similarity.ts'
import { videoFiles } from '../bulk/walk-videos.ts'
import { createEmbedder } from '../embedder.ts'
import type { ErrorCode } from '../errors.ts'
import type { Embedder } from '../types.ts'
import {
  type Command,
  embedderOptions,
  frameRuleOption,
  frameRuleUsage,
  type Io,
  integerOption,
  modelOptions,
  modelUsage,
  numberOption,
  parse,
  UsageError,
} from './command.ts'
import { Progress } from './progress.ts'
import { table } from './table.ts'
import { VectorCache } from './vector-cache.ts'

const usage = `Usage: cosmos-embed search FOLDER "text" [OPTIONS]

Ranks the videos below FOLDER by their similarity to the text. Links are followed. Each video is embedded once: vectors are
cached by content in ~/.cache/cosmos-embed (or XDG_CACHE_HOME). Files that cannot be embedded are listed, the others are
still ranked, and the exit code is 1.

  --top K                number of results (default: 10)
  --json                 print the ranking as JSON on stdout (default: as a table)
${frameRuleUsage}
  --frame-tolerance S    let frames move by up to S seconds to ones that are cheaper to decode (default: 0)
${modelUsage}
`

const options = {
  ...modelOptions,
  top: { type: 'string' },
  'frame-rule': { type: 'string' },
  'frame-tolerance': { type: 'string' },
  json: { type: 'boolean' },
} as const

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

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  const [folder, text] = positionals
  if (folder === undefined || text === undefined || positionals.length !== 2) {
    throw new UsageError('expected FOLDER and one "text" in quotes')
  }
  const found = await stat(folder).catch(() => undefined)
  if (!found?.isDirectory()) throw new UsageError(`"${folder}" is not a folder`)
  const top = integerOption('top', values.top, 1) ?? 10
  const tolerance = numberOption('frame-tolerance', values['frame-tolerance'], 0) ?? 0

  const frameRule = frameRuleOption(values['frame-rule'])

  await using embedder = await createEmbedder({
    ...embedderOptions(values, io),
    frameRule,
    signal: io.signal,
  })
  const { indexed, failed, fromCache } = await indexFolder(embedder, folder, io, tolerance)
  for (const { file, message } of failed) io.stderr.write(`skipped ${file}: ${message}\n`)
  if (indexed.length === 0) io.stderr.write(`no video below ${folder} could be embedded\n`)
  if (indexed.length === 0 && !values.json) return 1

  const query = await embedder.embedText(text, { signal: io.signal })
  const hits = rank(query.embedding, indexed).slice(0, top)
  if (values.json) {
    const model = embedder.info().model.id
    io.stdout.write(`${JSON.stringify({ query: text, model, hits, failed }, null, 2)}\n`)
  } else {
    const rows = hits.map(({ file, score }, index) => [
      index + 1,
      score.toFixed(3),
      path.relative(folder, file),
    ])
    io.stdout.write(
      table([['#', 'score', `"${text}" among ${indexed.length} videos (${fromCache} cached)`], ...rows]),
    )
  }
  return failed.length === 0 && indexed.length > 0 ? 0 : 1
}

export const command: Command = {
  name: 'search',
  usage,
  run,
}
