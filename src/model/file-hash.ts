/** SHA-256 of files, each computed once as long as the file does not change. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { z } from 'zod'
import { onAbort } from '../abort.ts'
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
    const hashes = await hashInWorker(
      unknown.map(({ path }) => path),
      signal,
    )
    for (const [index, file] of unknown.entries()) known.set(keyOf(file), hashes[index] as string)
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
  const temporary = `${path}.${process.pid}`
  const sha256 = Object.fromEntries([...known].slice(-maxEntries))
  try {
    // Not `recursive`: below a folder such as /proc that never comes to an end.
    for (const folder of [dirname(dirname(path)), dirname(path)]) await mkdir(folder).catch(() => {})
    await writeFile(temporary, JSON.stringify({ version: 1, sha256 }))
    await rename(temporary, path)
  } catch {}
}

/** As text, because a worker needs a JavaScript file and this module is TypeScript under test. */
const workerProgram = `
const { parentPort, workerData } = require('node:worker_threads')
const { createHash } = require('node:crypto')
const { closeSync, openSync, readSync } = require('node:fs')
const chunk = Buffer.allocUnsafe(1 << 20)
function sha256(path) {
  const file = openSync(path, 'r')
  try {
    const hash = createHash('sha256')
    for (let read; (read = readSync(file, chunk)) > 0; ) hash.update(chunk.subarray(0, read))
    return hash.digest('hex')
  } finally {
    closeSync(file)
  }
}
parentPort.postMessage(workerData.map(sha256))
`

/** Gigabytes of weights: seconds of hashing that the event loop does not wait for. */
function hashInWorker(paths: readonly string[], signal: AbortSignal | undefined): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerProgram, { eval: true, workerData: paths })
    const forget = signal
      ? onAbort(signal, () => {
          reject(signal.reason)
          void worker.terminate()
        })
      : () => {}
    worker.once('message', resolve)
    worker.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new ModelError(`a file of the model cannot be read (${cause.code ?? cause.name})`, { cause }))
    })
    worker.once('exit', forget)
  })
}
