/** What each word of a command line is: a file, a URL, standard input, or a text. Nothing is guessed silently. */
import { stat } from 'node:fs/promises'
import process from 'node:process'
import { expandGlob, isGlob } from '../bulk/glob.ts'
import { likeness } from '../request/media-likeness.ts'
import type { ItemInput } from '../request/schema.ts'
import { type Io, UsageError } from './command.ts'

export interface CliInput {
  /** As it was written, or the file that a pattern found. */
  input: string
  /** What it was taken for. */
  as: 'text' | 'video' | 'standard input'
  item: ItemInput
}

/** Throws UsageError for a word that looks like a path, a pattern or a URL and leads nowhere. */
export async function readInputs(
  words: readonly string[],
  forced: 'text' | 'video' | undefined,
  io: Pick<Io, 'stdin'>,
): Promise<CliInput[]> {
  if (words.filter((word) => word === '-').length > 1) {
    throw new UsageError('standard input can be read once: "-" is there more than once')
  }
  return (await Promise.all(words.map((word) => readInput(word, forced, io)))).flat()
}

async function readInput(
  word: string,
  forced: 'text' | 'video' | undefined,
  { stdin = process.stdin }: Pick<Io, 'stdin'>,
): Promise<CliInput[]> {
  if (word === '-') {
    const item = forced === 'text' ? { text: await textOf(stdin) } : { video: stdin }
    return [{ input: word, as: 'standard input', item }]
  }
  if (forced === 'text') return [{ input: word, as: 'text', item: { text: word } }]
  const found = likeness(word)
  if (found?.kind === 'data') {
    throw new UsageError(
      `"${found.shown}…" is a data URI: say --request-type, which sends it as it is, or --text`,
    )
  }
  if (/^[a-z][a-z0-9+.-]*:\/\/\S*$/i.test(word)) return [urlInput(word)]
  const stats = await stat(word).catch(() => undefined)
  if (stats?.isDirectory()) {
    throw new UsageError(`"${word}" is a folder: say ${word}/*.mp4 for its files, or use cosmos-embed search`)
  }
  // Whatever else exists is a device or a pipe, and the reading of it says so.
  if (stats || (forced === 'video' && !isGlob(word)))
    return [{ input: word, as: 'video', item: { video: word } }]
  if (isGlob(word) && !/\s\S*\s/.test(word)) {
    const files = await expandGlob(word)
    if (files.length > 0) return files.map((file) => ({ input: file, as: 'video', item: { video: file } }))
    throw new UsageError(`no file matches "${word}"; if it is meant as a text, say --text`)
  }
  if (found?.kind === 'media_path' || looksLikePath(word)) {
    throw new UsageError(`there is no file "${word}"; if it is meant as a text, say --text`)
  }
  return [{ input: word, as: 'text', item: { text: word } }]
}

function urlInput(word: string): CliInput {
  if (!URL.canParse(word))
    throw new UsageError(`"${word}" is not a URL; if it is meant as a text, say --text`)
  const url = new URL(word)
  if (!['http:', 'https:', 'file:'].includes(url.protocol)) {
    throw new UsageError(
      `"${url.protocol}//…" cannot be read: expected https:// or file:, such as a presigned URL; for a text say --text`,
    )
  }
  return { input: word, as: 'video', item: { video: url } }
}

/** A path starts like one, or is a single word with a separator in it. */
function looksLikePath(word: string): boolean {
  return /^(?:\.{1,2}[/\\]|[/\\]|~[/\\]|[a-z]:[/\\])/i.test(word) || (/[/\\]/.test(word) && !/\s/.test(word))
}

async function textOf(stdin: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stdin) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8').trim()
}
