import { readdir } from 'node:fs/promises'
import path from 'node:path'

// Names only: what a file really is, its content decides when it is opened.
const EXTENSIONS = new Set(
  '3g2 3gp asf avi av1 flv h264 hevc h265 ivf m2ts m4v mkv mov mp4 mpeg mpg mts obu ogm ogv ts vob webm wmv 264 265'
    .split(' ')
    .map((extension) => `.${extension}`),
)

/** Every file below `folder` that is named like a video, sorted, hidden ones left out. */
export async function videoFiles(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) found.push(...(await videoFiles(file)))
    else if (entry.isFile() && EXTENSIONS.has(path.extname(entry.name).toLowerCase())) found.push(file)
  }
  return found.sort()
}
