/** Reads the arguments of `embed`: files, URLs, patterns, standard input, or texts. Doubtful ones are errors. */
import { stat } from 'node:fs/promises'
import process from 'node:process'
import { expandGlob, isGlob } from '../bulk/glob.ts'
import { likeness } from '../request/media-likeness.ts'
import type { ItemInput } from '../request/schema.ts'
import { type Io, UsageError } from './command.ts'

export interface CliInput {
  /** The argument, or a file that matches its pattern. */
  input: string
  /** How the argument was read. */
  as: 'text' | 'video' | 'standard input'
  item: ItemInput
}

/** Throws UsageError for an argument that looks like a path, a pattern or a URL but leads nowhere. */
export async function readInputs(
  args: readonly string[],
  forced: 'text' | 'video' | undefined,
  io: Pick<Io, 'stdin'>,
): Promise<CliInput[]> {
  if (args.filter((arg) => arg === '-').length > 1) {
    throw new UsageError('standard input can be read only once: "-" is given more than once')
  }
  return (await Promise.all(args.map((arg) => readInput(arg, forced, io)))).flat()
}

async function readInput(
  arg: string,
  forced: 'text' | 'video' | undefined,
  { stdin = process.stdin }: Pick<Io, 'stdin'>,
): Promise<CliInput[]> {
  if (arg === '-') {
    const item = forced === 'text' ? { text: await textOf(stdin) } : { video: stdin }
    return [{ input: arg, as: 'standard input', item }]
  }
  if (forced === 'text') return [{ input: arg, as: 'text', item: { text: arg } }]
  const found = likeness(arg)
  if (found?.kind === 'data') {
    throw new UsageError(
      `"${found.shown}…" is a data URI: use --request-type to send it as media, or --text to embed it as a text`,
    )
  }
  if (/^[a-z][a-z0-9+.-]*:\/\/\S*$/i.test(arg)) return [urlInput(arg)]
  const stats = await stat(arg).catch(() => undefined)
  if (stats?.isDirectory()) {
    throw new UsageError(`"${arg}" is a folder: use ${arg}/*.mp4 for its files, or cosmos-embed search`)
  }
  // Anything else that exists is a device or a pipe: reading it reports the error.
  if (stats || (forced === 'video' && !isGlob(arg)))
    return [{ input: arg, as: 'video', item: { video: arg } }]
  if (isGlob(arg) && !/\s\S*\s/.test(arg)) {
    const files = await expandGlob(arg)
    if (files.length > 0) return files.map((file) => ({ input: file, as: 'video', item: { video: file } }))
    throw new UsageError(`no file matches "${arg}"; if it is a text, use --text`)
  }
  if (found?.kind === 'media_path' || looksLikePath(arg)) {
    throw new UsageError(`there is no file "${arg}"; if it is a text, use --text`)
  }
  return [{ input: arg, as: 'text', item: { text: arg } }]
}

function urlInput(arg: string): CliInput {
  if (!URL.canParse(arg)) throw new UsageError(`"${arg}" is not a valid URL; if it is a text, use --text`)
  const url = new URL(arg)
  if (!['http:', 'https:', 'file:'].includes(url.protocol)) {
    throw new UsageError(
      `"${url.protocol}//…" cannot be read: expected https://, such as a presigned URL, or file:; if it is a text, use --text`,
    )
  }
  return { input: arg, as: 'video', item: { video: url } }
}

/** Whether the argument starts like a path, or contains a separator but no white space. */
function looksLikePath(arg: string): boolean {
  return /^(?:\.{1,2}[/\\]|[/\\]|~[/\\]|[a-z]:[/\\])/i.test(arg) || (/[/\\]/.test(arg) && !/\s/.test(arg))
}

async function textOf(stdin: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stdin) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8').trim()
}
