/** Finds the video files of a folder. */
import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { videoExtensions } from '../base/media-names.ts'

/**
 * Yields every file below `folder` with a file extension of videos, in the order of their names. Skips hidden files and
 * folders. Follows links, but enters each folder only once.
 */
export async function* walkVideos(
  folder: string,
  visited: Set<string> = new Set(),
): AsyncGenerator<string, void, undefined> {
  const real = await realpath(folder)
  if (visited.has(real)) return
  visited.add(real)
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue
    const file = path.join(folder, entry.name)
    // Ignores broken links.
    const kind = entry.isSymbolicLink() ? await stat(file).catch(() => undefined) : entry
    if (kind?.isDirectory()) yield* walkVideos(file, visited)
    else if (kind?.isFile() && videoExtensions.has(path.extname(entry.name).slice(1).toLowerCase()))
      yield file
  }
}

/** The files of {@link walkVideos}, sorted. */
export async function videoFiles(folder: string): Promise<string[]> {
  const files: string[] = []
  for await (const file of walkVideos(folder)) files.push(file)
  return files.sort()
}
