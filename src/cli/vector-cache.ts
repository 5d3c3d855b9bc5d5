/** The cache of vectors of `cosmos-embed search`. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

/** Of a start and an end. */
const RANGE_BYTES = 16

/** The vector of a video, or of one of its shots. */
export interface CachedVector {
  /** Seconds. */
  start: number
  end: number
  embedding: Float32Array
}

/**
 * A cache of the vectors of videos on disk, keyed by the model and the SHA-256 of the file's content, so that moved files are found and
 * edited ones are not. The hash is cached too, by the file's size, times and inode. The vectors of each video and each hash are a
 * small file. Failures to read or write the cache are ignored: the vector is computed again.
 */
export class VectorCache {
  readonly #folder: string
  readonly #keys: string
  readonly #dimension: number

  /** `model` must identify everything that determines a vector: model files, frame rule, options. */
  constructor(model: string, dimension: number) {
    const root = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache')
    const key = createHash('sha256').update(model).digest('hex').slice(0, 32)
    this.#folder = path.join(root, 'cosmos-embed', 'vectors', key)
    this.#keys = path.join(root, 'cosmos-embed', 'content')
    this.#dimension = dimension
  }

  /** SHA-256 of the file's content. Rejects if the file cannot be read. */
  async keyOf(file: string, signal: AbortSignal): Promise<string> {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    // Includes ctime because, unlike mtime, programs cannot set it.
    const state = createHash('sha256').update([dev, ino, size, mtimeNs, ctimeNs].join(' ')).digest('hex')
    const known = path.join(this.#keys, state)
    const key = await readFile(known, 'latin1').catch(() => '')
    if (/^[0-9a-f]{64}$/.test(key)) return key
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(file)) {
      signal.throwIfAborted()
      hash.update(chunk)
    }
    const computed = hash.digest('hex')
    await write(known, computed)
    return computed
  }

  async get(key: string): Promise<CachedVector[] | undefined> {
    const bytes = await readFile(this.#file(key)).catch(() => undefined)
    if (bytes === undefined) return undefined
    const count = bytes.byteLength / (RANGE_BYTES + 4 * this.#dimension)
    if (count === 0 || !Number.isInteger(count)) return undefined
    const { buffer } = Uint8Array.from(bytes)
    const ranges = new Float64Array(buffer, 0, 2 * count)
    const vectors = new Float32Array(buffer, ranges.byteLength)
    return Array.from({ length: count }, (_, index) => ({
      start: ranges[2 * index] as number,
      end: ranges[2 * index + 1] as number,
      embedding: vectors.subarray(index * this.#dimension, (index + 1) * this.#dimension),
    }))
  }

  /** All ranges come first, then all vectors, so that both are aligned. */
  async set(key: string, vectors: readonly CachedVector[]): Promise<void> {
    const ranges = new Float64Array(vectors.flatMap(({ start, end }) => [start, end]))
    const parts = [ranges, ...vectors.map(({ embedding }) => embedding)]
    await write(
      this.#file(key),
      Buffer.concat(
        parts.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
      ),
    )
  }

  #file(key: string): string {
    return path.join(this.#folder, `${key}.vectors`)
  }
}

/** Writes atomically. Errors, e.g. of a full or read-only disk, only cost time at the next search. */
async function write(file: string, content: string | Uint8Array): Promise<void> {
  const partial = `${file}.${process.pid}`
  try {
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(partial, content)
    await rename(partial, file)
  } catch {}
}
