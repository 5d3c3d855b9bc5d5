/** The command `search`: ranks the videos of a folder by a text. */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { similarity } from '../base/similarity.ts'
import { videoFiles } from '../bulk/walk-videos.ts'
import { createEmbedder } from '../embedder.ts'
import type { ErrorCode } from '../errors.ts'
import { shotsOf } from '../request/segment-rule.ts'
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
import { VectorCache, type VectorOfMoment } from './vector-cache.ts'

const usage = `Usage: cosmos-embed search FOLDER "text" [OPTIONS]

Ranks the videos below FOLDER by their similarity to the text. Links are followed. Each video is embedded once: vectors are
cached by content in ~/.cache/cosmos-embed (or XDG_CACHE_HOME). Files that cannot be embedded are listed, the others are
still ranked, and the exit code is 1. With --shots, each shot of each video is ranked, and the table shows when it begins.

  --top K                number of results (default: 10)
  --shots                rank the shots of the videos instead of whole videos
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
  shots: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

export interface Hit {
  file: string
  /** Cosine similarity, −1 to 1. */
  score: number
  /** With `--shots`, the seconds from `start` to `end` of the file. */
  start?: number
  end?: number
}

export interface IndexedFile {
  file: string
  embedding: Float32Array
  /** Of a shot, in seconds. */
  start?: number
  end?: number
}

export interface FailedFile {
  file: string
  code: ErrorCode
  message: string
}

/** Embeds every video below `folder`, or each of its shots. Files that cannot be embedded are returned in `failed`. */
export async function indexFolder(
  embedder: Embedder,
  folder: string,
  io: Io,
  { frameTolerance = 0, shots = false }: { frameTolerance?: number; shots?: boolean } = {},
): Promise<{ indexed: IndexedFile[]; failed: FailedFile[]; fromCache: number }> {
  const { model } = embedder.info()
  const { threshold, minSeconds } = shotsOf({})
  const kind = shots ? ` shots=${threshold},${minSeconds}` : ''
  const cache = new VectorCache(`${model.fingerprint} tolerance=${frameTolerance}${kind}`, model.embeddingDim)
  const files = await videoFiles(folder)
  const progress = new Progress(io.stderr, 'embedding', files.length)
  const failed: FailedFile[] = []
  let fromCache = 0

  const embed = async (file: string): Promise<VectorOfMoment[]> => {
    const callOptions = { frameTolerance, priority: 'bulk', signal: io.signal } as const
    if (!shots) return [{ embedding: (await embedder.embedVideo(file, callOptions)).embedding }]
    const moments: VectorOfMoment[] = []
    for await (const { embedding, start, end } of embedder.segments(file, { ...callOptions, shots: true })) {
      moments.push({ embedding, start, end })
    }
    return moments
  }
  const embedOne = async (file: string): Promise<IndexedFile[]> => {
    try {
      const key = await cache.keyOf(file, io.signal)
      const cached = await cache.get(key)
      if (cached !== undefined) {
        fromCache += 1
        progress.tick(path.basename(file))
        return cached.map((vector) => ({ file, ...vector }))
      }
      const vectors = await embed(file)
      await cache.set(key, vectors)
      progress.tick(path.basename(file))
      return vectors.map((vector) => ({ file, ...vector }))
    } catch (error) {
      // An aborted file is neither done nor failed.
      io.signal.throwIfAborted()
      const { code, message } = toCosmosEmbedError(error)
      failed.push({ file, code, message })
      progress.tick(path.basename(file))
      return []
    }
  }

  try {
    const results = await mapWithLimit(files, 16, embedOne)
    return { indexed: results.flat(), failed, fromCache }
  } finally {
    progress.end()
  }
}

/** Ranks all files or shots by cosine similarity, best first. */
export function rank(query: Float32Array, indexed: readonly IndexedFile[]): Hit[] {
  return indexed
    .map(({ embedding, ...hit }) => ({ ...hit, score: similarity(query, embedding) }))
    .sort((a, b) => b.score - a.score)
}

/** A time as players show it, e.g. 1:02:03.4. */
function clock(seconds: number): string {
  const tenths = Math.round(seconds * 10)
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, tenths % 600]
  const text = `${minutes}:${(rest / 10).toFixed(1).padStart(4, '0')}`
  return hours > 0 ? `${hours}:${text.padStart(7, '0')}` : text
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
  const { indexed, failed, fromCache } = await indexFolder(embedder, folder, io, {
    frameTolerance: tolerance,
    shots: values.shots ?? false,
  })
  for (const { file, message } of failed) io.stderr.write(`skipped ${file}: ${message}\n`)
  if (indexed.length === 0) io.stderr.write(`no video below ${folder} could be embedded\n`)
  if (indexed.length === 0 && !values.json) return 1

  const query = await embedder.embedText(text, { signal: io.signal })
  const hits = rank(query.embedding, indexed).slice(0, top)
  if (values.json) {
    const model = embedder.info().model.id
    io.stdout.write(`${JSON.stringify({ query: text, model, hits, failed }, null, 2)}\n`)
  } else {
    const rows = hits.map(({ file, score, start, end }, index) => [
      index + 1,
      score.toFixed(3),
      ...(start !== undefined && end !== undefined ? [`${clock(start)}–${clock(end)}`] : []),
      path.relative(folder, file),
    ])
    const moment = values.shots ? ['shot'] : []
    const among = values.shots ? `${indexed.length} shots` : `${indexed.length} videos`
    io.stdout.write(
      table([
        [
          '#',
          'score',
          ...moment,
          `"${text}" among ${among} (${fromCache} ${values.shots ? 'videos ' : ''}cached)`,
        ],
        ...rows,
      ]),
    )
  }
  return failed.length === 0 && indexed.length > 0 ? 0 : 1
}

export const command: Command = {
  name: 'search',
  summary: 'find videos in a folder by text',
  usage,
  run,
}
