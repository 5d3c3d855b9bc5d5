/** Files that must lie inside a folder, such as those of a model bundle. */
import type { BigIntStats } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, sep } from 'node:path'
import { ModelError } from '../errors.ts'
import type { HashableFile } from './file-hash.ts'

export interface LocatedFile extends HashableFile {
  /** Permission bits. */
  mode: number
}

/**
 * Finds a regular file that lies in `root` also after symbolic links are followed. Rejects with ModelError, whose message
 * calls the file `what` and the root `folder`.
 */
export async function locateInside(
  root: string,
  path: string,
  { what, folder }: { what: string; folder: string },
): Promise<LocatedFile> {
  const inside = (target: string) => !isAbsolute(target) && target !== '..' && !target.startsWith(`..${sep}`)
  const outside = () => new ModelError(`${what} "${path}" lies outside ${folder} ${root}`)
  if (isAbsolute(path) || !inside(relative(root, join(root, path)))) throw outside()
  let real: string
  let stats: BigIntStats
  try {
    real = await realpath(join(root, path))
    stats = await stat(real, { bigint: true })
  } catch (cause) {
    throw new ModelError(`${what} ${join(root, path)}: ${reasonOf(cause)}`, { cause })
  }
  if (!inside(relative(root, real))) throw outside()
  if (!stats.isFile()) throw new ModelError(`${what} ${real} is not a regular file`)
  const { size, mtimeNs, ino, mode } = stats
  return { path: real, size, mtimeNs, ino, mode: Number(mode) & 0o777 }
}

/** Describes why a file could not be read. */
export function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'not found'
  if (code === 'EACCES') return 'no permission to read it'
  return `cannot be read (${code ?? 'unknown reason'})`
}
