/** The cache of vectors of `cosmos-embed search`. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

/** A vector of a whole video, or of a part of it in seconds. */
export interface VectorOfMoment {
  embedding: Float32Array
  start?: number
  end?: number
}

/** Bytes of `start` and `end` before the vector of a part. */
const RANGE_BYTES = 16

/**
 * A cache of vectors on disk, keyed by the model and the SHA-256 of the file's content, so that moved files are found and
 * edited ones are not. The hash is cached too, by the file's size, times and inode. The vectors of a video are a small
 * file, and each hash is one. Failures to read or write the cache are ignored: the vector is computed again.
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

  /** A file with the bytes of one vector is that of a whole video; otherwise each vector follows its range. */
  async get(key: string): Promise<VectorOfMoment[] | undefined> {
    const bytes = await readFile(this.#file(key)).catch(() => undefined)
    if (bytes === undefined) return undefined
    const size = 4 * this.#dimension
    const vectorAt = (offset: number) =>
      new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + size))
    if (bytes.byteLength === size) return [{ embedding: vectorAt(0) }]
    const step = RANGE_BYTES + size
    if (bytes.byteLength === 0 || bytes.byteLength % step !== 0) return undefined
    return Array.from({ length: bytes.byteLength / step }, (_, index) => ({
      start: bytes.readDoubleLE(index * step),
      end: bytes.readDoubleLE(index * step + 8),
      embedding: vectorAt(index * step + RANGE_BYTES),
    }))
  }

  async set(key: string, vectors: readonly VectorOfMoment[]): Promise<void> {
    const parts = vectors.flatMap(({ embedding, start, end }) => {
      const bytes = new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength)
      if (start === undefined || end === undefined) return [bytes]
      const range = Buffer.alloc(RANGE_BYTES)
      range.writeDoubleLE(start, 0)
      range.writeDoubleLE(end, 8)
      return [range, bytes]
    })
    await write(this.#file(key), Buffer.concat(parts))
  }

  #file(key: string): string {
    return path.join(this.#folder, `${key}.f32`)
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
