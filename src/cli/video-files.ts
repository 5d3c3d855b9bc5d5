import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { videoExtensions } from '../media-names.ts'

/**
 * Every file below `folder` that is named like a video, sorted, hidden ones left out. Links are followed; a folder that
 * is reached in two ways, or from within itself, is looked into once.
 */
export async function videoFiles(folder: string, visited: Set<string> = new Set()): Promise<string[]> {
  const real = await realpath(folder)
  if (visited.has(real)) return []
  visited.add(real)
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const file = path.join(folder, entry.name)
    // A link that leads nowhere is nothing.
    const kind = entry.isSymbolicLink() ? await stat(file).catch(() => undefined) : entry
    if (kind?.isDirectory()) found.push(...(await videoFiles(file, visited)))
    else if (kind?.isFile() && videoExtensions.has(path.extname(entry.name).slice(1).toLowerCase()))
      found.push(file)
  }
  return found.sort()
}
