/** What goes wrong with files, in words, and the lines of one. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'

/** Every line that is not empty, with its number from 1. Of a file's first `end` bytes. */
export async function* linesOf(
  file: string,
  end: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<{ line: string; number: number }, void, undefined> {
  if (end === 0) return
  const stream = createReadStream(file, { end: end - 1 })
  let number = 0
  try {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      number++
      // A byte order mark is no part of the text.
      const text = number === 1 ? line.replace(/^\uFEFF/, '') : line
      if (text.trim() !== '') yield { line: text, number }
    }
  } finally {
    stream.destroy()
  }
}

/** Runs `work`; what the file system says comes as SourceError, with the file's name. */
export async function withFileErrors<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    throw fileError(file, failure)
  }
}

export function fileError(file: string, failure: unknown): Error {
  if (failure instanceof CosmosEmbedError) return failure
  const { code, message } = failure as NodeJS.ErrnoException
  const reason = code === 'ENOSPC' ? 'the disk is full' : message
  return new SourceError(`${file}: ${reason}`, { cause: failure })
}

/** An optional importPeer. Rejects with InvalidArgumentError that says what to install. */
export async function importPeer<T>(name: string, need: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new InvalidArgumentError(`${need} needs the package ${name}: npm install ${name}`, { cause })
  }
}

/** Without those that are equal to the one before: of rows that lie together. */
export async function* skipRepeats(ids: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  let former: string | undefined
  for await (const id of ids) {
    if (id !== former) yield id
    former = id
  }
}
