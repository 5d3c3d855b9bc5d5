import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

/**
 * Vectors of files, keyed by the model and the file's content, so that a renamed or moved file is found again and an
 * edited one is not. One small file per vector. What cannot be read or written is recomputed, never an error.
 */
export class VectorCache {
  readonly #folder: string
  readonly #dimension: number

  /** `model` identifies everything that shapes a vector: graph, frames, options. */
  constructor(model: string, dimension: number) {
    const root = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache')
    const key = createHash('sha256').update(model).digest('hex').slice(0, 32)
    this.#folder = path.join(root, 'cosmos-embed', 'vectors', key)
    this.#dimension = dimension
  }

  /** SHA-256 of the file's content. Rejects as reading it does. */
  static async keyOf(file: string, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(file)) {
      signal.throwIfAborted()
      hash.update(chunk)
    }
    return hash.digest('hex')
  }

  async get(key: string): Promise<Float32Array | undefined> {
    const bytes = await readFile(this.#file(key)).catch(() => undefined)
    if (bytes === undefined || bytes.byteLength !== 4 * this.#dimension) return undefined
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  }

  async set(key: string, vector: Float32Array): Promise<void> {
    const file = this.#file(key)
    const partial = `${file}.${process.pid}`
    try {
      await mkdir(this.#folder, { recursive: true })
      await writeFile(partial, new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
      await rename(partial, file)
    } catch {
      // A full or read-only disk costs time at the next search, nothing else.
    }
  }

  #file(key: string): string {
    return path.join(this.#folder, `${key}.f32`)
  }
}
