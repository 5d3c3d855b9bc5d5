/** SHA-256 of files, cached in memory and on disk until a file changes. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { ModelError } from '../errors.ts'

export interface HashableFile {
  /** Absolute, without symbolic links. */
  path: string
  size: bigint
  mtimeNs: bigint
  ino: bigint
}

/** The most entries kept on disk. The oldest are dropped first. */
const maxEntries = 512

const known = new Map<string, string>()

/** Hashes in lower-case hex, in the order of `files`. Rejects with ModelError for an unreadable file, or with `signal.reason`. */
export async function sha256OfFiles(files: readonly HashableFile[], signal?: AbortSignal): Promise<string[]> {
  signal?.throwIfAborted()
  if (files.some((file) => !known.has(keyOf(file)))) await loadDiskCache()
  const unknown = files.filter((file) => !known.has(keyOf(file)))
  if (unknown.length > 0) {
    for (const file of unknown) known.set(keyOf(file), await hashOf(file.path, signal))
    await saveDiskCache()
  }
  return files.map((file) => known.get(keyOf(file)) as string)
}

function keyOf({ path, size, mtimeNs, ino }: HashableFile): string {
  return `${path}:${size}:${mtimeNs}:${ino}`
}

function cacheFile(): string {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(base, 'cosmos-embed', 'file-hashes.json')
}

/** A missing or damaged cache counts as empty. */
async function loadDiskCache(): Promise<void> {
  try {
    const { version, sha256 } = JSON.parse(await readFile(cacheFile(), 'utf8')) as Record<string, unknown>
    const entries = Object.entries(sha256 as object)
    if (version !== 1 || entries.some(([, hash]) => typeof hash !== 'string')) return
    for (const [key, hash] of entries) if (!known.has(key)) known.set(key, hash)
  } catch {}
}

/** Renames a temporary file, so that readers never see a partial cache. Failures, e.g. a read-only home, are ignored. */
async function saveDiskCache(): Promise<void> {
  const path = cacheFile()
  // A unique name, because several models may be loading at a time, also in other threads.
  const temporary = `${path}.${randomUUID()}`
  const sha256 = Object.fromEntries([...known].slice(-maxEntries))
  try {
    // Not `recursive`, which never returns below a folder such as /proc.
    for (const folder of [dirname(dirname(path)), dirname(path)]) await mkdir(folder).catch(() => {})
    await writeFile(temporary, JSON.stringify({ version: 1, sha256 }))
    await rename(temporary, path)
  } catch {}
}

/** Bytes hashed between two turns of the event loop; they take about a millisecond. */
const pieceBytes = 1 << 20

/**
 * Hashes in pieces, because gigabytes of weights take seconds. A worker thread would need a file that bundlers keep and the
 * permission to start threads.
 */
async function hashOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  try {
    await using file = await open(path)
    // One buffer for all pieces: those of a stream stay in memory until the garbage is collected.
    const piece = Buffer.allocUnsafe(pieceBytes)
    for (;;) {
      signal?.throwIfAborted()
      const { bytesRead } = await file.read(piece, 0, pieceBytes, null)
      if (bytesRead === 0) break
      hash.update(piece.subarray(0, bytesRead))
    }
  } catch (cause) {
    signal?.throwIfAborted()
    const { code, name } = cause as NodeJS.ErrnoException
    throw new ModelError(`a file of the model cannot be read (${code ?? name})`, { cause })
  }
  return hash.digest('hex')
}
