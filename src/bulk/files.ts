/** Helpers for files: lines, errors that name the file, optional packages. */
import { createReadStream } from 'node:fs'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'

/** Yields the non-empty lines in the first `end` bytes of a file, with their numbers from 1. */
export async function* linesOf(
  file: string,
  end: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<{ line: string; number: number }, void, undefined> {
  if (end === 0) return
  const stream = createReadStream(file, { end: end - 1, encoding: 'utf8' })
  let number = 0
  for await (const line of splitLines(stream)) {
    number++
    // Removes a byte order mark.
    const text = number === 1 ? line.replace(/^\uFEFF/, '') : line
    if (text.trim() !== '') yield { line: text, number }
  }
}

/** Splits at line feeds only. `readline` also splits at U+2028 and U+2029, which JSON has within its strings. */
async function* splitLines(chunks: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  // The line so far, in pieces: joined once, since a line may come in many chunks.
  let open: string[] = []
  for await (const chunk of chunks) {
    const [first = '', ...others] = chunk.split('\n')
    open.push(first)
    for (const next of others) {
      yield withoutReturn(open.join(''))
      open = [next]
    }
  }
  yield withoutReturn(open.join(''))
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}

/** Runs `work`; errors of the file system become SourceError with the file's name. */
export async function withFileErrors<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    throw fileError(file, failure)
  }
}

/** A CosmosEmbedError as it is; any other failure as a SourceError with the file's name. */
export function fileError(file: string, failure: unknown): Error {
  if (failure instanceof CosmosEmbedError) return failure
  const { code, message } = failure as NodeJS.ErrnoException
  const reason = code === 'ENOSPC' ? 'the disk is full' : message
  return new SourceError(`${file}: ${reason}`, { cause: failure })
}

/** Imports an optional peer dependency. If it is missing, rejects with InvalidArgumentError that says what to install. */
export async function importPeer<T>(name: string, need: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new InvalidArgumentError(`${need} needs the package ${name}: npm install ${name}`, { cause })
  }
}

/** Skips ids equal to the previous one: the rows of an item are adjacent. */
export async function* skipRepeats(ids: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  let previous: string | undefined
  for await (const id of ids) {
    if (id !== previous) yield id
    previous = id
  }
}
