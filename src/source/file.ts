/** Checks local files before native code opens them, so that a wrong path fails with a clear message. */
import type { Stats } from 'node:fs'
import { access, constants, readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { abortable } from '../base/abort.ts'
import { shortageOf } from '../base/shortage.ts'
import { OutOfMemoryError, SourceError } from '../errors.ts'
import { type Reserve, tooLarge } from './bytes.ts'

/**
 * Resolves to the absolute path of a readable regular file. Rejects with SourceError, or with OutOfMemoryError if the
 * system can open no more files; FIFOs and devices are never opened. Rejects with `signal.reason` at once, also where the
 * file system does not answer.
 */
export async function checkFile(path: string, signal: AbortSignal | undefined): Promise<string> {
  return (await abortable(describeFile(path), signal)).path
}

/** Reads a small file. Rejects with SourceError, OutOfMemoryError, LimitError or `signal.reason`. */
export async function readWholeFile(
  path: string,
  limit: number,
  { signal, reserve }: { signal: AbortSignal; reserve: Reserve },
): Promise<Uint8Array> {
  const file = await abortable(describeFile(path), signal)
  if (file.size > limit) throw tooLarge(`${path} (${file.size} bytes)`, limit)
  await reserve(file.size)
  try {
    return await abortable(readFile(file.path, { signal }), signal)
  } catch (error) {
    signal.throwIfAborted()
    throw unreadable(path, error)
  }
}

async function describeFile(path: string): Promise<{ path: string; size: number }> {
  if (path.includes('\0')) throw new SourceError('a file path must not hold a NUL character')
  const absolute = resolve(path)
  let stats: Stats
  try {
    stats = await stat(absolute)
    if (stats.isFile()) await access(absolute, constants.R_OK)
  } catch (error) {
    throw unreadable(path, error)
  }
  if (!stats.isFile()) throw new SourceError(`${path} is ${kindOf(stats)}: expected a regular file`)
  if (stats.size === 0) throw new SourceError(`${path} is empty`)
  return { path: absolute, size: stats.size }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory'
  if (stats.isFIFO()) return 'a FIFO'
  if (stats.isSocket()) return 'a socket'
  return 'a device'
}

function unreadable(path: string, cause: unknown): SourceError | OutOfMemoryError {
  const shortage = shortageOf(cause)
  if (shortage) return new OutOfMemoryError(`${path} cannot be read now: ${shortage}`, { cause })
  const { code } = cause as NodeJS.ErrnoException
  const reasons: Record<string, string> = {
    ENOENT: 'no such file',
    ENOTDIR: 'no such file: a part of the path is not a directory',
    EACCES: 'no permission to read it',
    ELOOP: 'too many symbolic links',
    ENAMETOOLONG: 'the path is too long',
  }
  const reason = reasons[code ?? ''] ?? `cannot be read (${code ?? 'unknown reason'})`
  return new SourceError(`${path}: ${reason}`, { details: code ? { reason: code } : {}, cause })
}
