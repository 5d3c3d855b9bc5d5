/** SHA-256 of files, each computed once as long as the file does not change. */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { ModelError } from '../errors.ts'

export interface HashableFile {
  /** Absolute, without symbolic links. */
  path: string
  size: bigint
  mtimeNs: bigint
  ino: bigint
}

const diskCacheSchema = z.object({ version: z.literal(1), sha256: z.record(z.string(), z.string()) })
/** Entries kept on disk, newest last. */
const maxEntries = 512

const known = new Map<string, string>()

/** Lower-case hex, in the order given. Rejects with ModelError for an unreadable file, or with `signal.reason`. */
export async function sha256OfFiles(files: readonly HashableFile[], signal?: AbortSignal): Promise<string[]> {
  signal?.throwIfAborted()
  if (files.some((file) => !known.has(keyOf(file)))) await learnFromDisk()
  const unknown = files.filter((file) => !known.has(keyOf(file)))
  if (unknown.length > 0) {
    for (const file of unknown) known.set(keyOf(file), await hashOf(file.path, signal))
    await rememberOnDisk()
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

/** The cache only saves time: one that is missing or broken is as good as empty. */
async function learnFromDisk(): Promise<void> {
  try {
    const { sha256 } = diskCacheSchema.parse(JSON.parse(await readFile(cacheFile(), 'utf8')))
    for (const [key, hash] of Object.entries(sha256)) if (!known.has(key)) known.set(key, hash)
  } catch {}
}

/** Written beside and renamed, so that a reader never sees half of it. A read-only home is no failure. */
async function rememberOnDisk(): Promise<void> {
  const path = cacheFile()
  // Of this call alone: several models may load at a time, in threads too.
  const temporary = `${path}.${randomUUID()}`
  const sha256 = Object.fromEntries([...known].slice(-maxEntries))
  try {
    // Not `recursive`: below a folder such as /proc that never comes to an end.
    for (const folder of [dirname(dirname(path)), dirname(path)]) await mkdir(folder).catch(() => {})
    await writeFile(temporary, JSON.stringify({ version: 1, sha256 }))
    await rename(temporary, path)
  } catch {}
}

/** Read at a time: hashing so much takes about a millisecond, and in between the event loop has its turn. */
const pieceBytes = 1 << 20

/**
 * Gigabytes of weights are seconds of hashing, in pieces. Not in a thread: one would need a file that a bundler leaves
 * alone, and a process that may start threads.
 */
async function hashOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const piece of createReadStream(path, { highWaterMark: pieceBytes, signal }))
      hash.update(piece)
  } catch (cause) {
    signal?.throwIfAborted()
    const { code, name } = cause as NodeJS.ErrnoException
    throw new ModelError(`a file of the model cannot be read (${code ?? name})`, { cause })
  }
  return hash.digest('hex')
}
