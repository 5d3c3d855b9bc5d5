/** Vectors in memory, and the exact search among them. */
import binding from '#binding'
import { cores } from '../../base/cores.ts'
import { runNative } from '../../base/native-job.ts'

/**
 * Size of a full block: large beside the cost of starting a native job, and small enough that a search of several blocks
 * keeps all cores busy to its end. The first blocks are smaller, so that a small index takes little memory.
 */
const BLOCK_BYTES = 32 * 2 ** 20
const FIRST_BLOCK_ROWS = 1024

/** A row of {@link FlatVectors} and its dot product with the query. */
export interface Neighbour {
  row: number
  score: number
}

/**
 * Vectors as float32, 4 bytes times their length each, in blocks: that is nearly all of the memory an index in memory takes.
 * The search compares the query with all of them, on all cores.
 */
export class FlatVectors {
  readonly #dimension: number
  readonly #blockRows: number
  /** Blocks are full, except the last. */
  readonly #blocks: { firstRow: number; vectors: Float32Array }[] = []
  #rows = 0

  constructor(dimension: number) {
    this.#dimension = dimension
    this.#blockRows = Math.max(1, Math.floor(BLOCK_BYTES / (4 * dimension)))
  }

  get rows(): number {
    return this.#rows
  }

  /** Appends whole vectors, one after the other in `vectors`. */
  add(vectors: ArrayLike<number>): void {
    const rows = vectors.length / this.#dimension
    for (let row = 0; row < rows; ) {
      const block = this.#blockWithRoom()
      const used = this.#rows - block.firstRow
      const count = Math.min(rows - row, block.vectors.length / this.#dimension - used)
      const part =
        count === rows ? vectors : partOf(vectors, row * this.#dimension, (row + count) * this.#dimension)
      block.vectors.set(part, used * this.#dimension)
      this.#rows += count
      row += count
    }
  }

  /** The `count` rows with the largest dot products, best first; of equal ones the earlier row. */
  async nearest(query: Float32Array, count: number, signal: AbortSignal): Promise<Neighbour[]> {
    const found: Neighbour[] = []
    const pending = this.#blocks.values()
    const worker = async () => {
      for (const { firstRow, vectors } of pending) {
        const used = vectors.subarray(0, (this.#rows - firstRow) * this.#dimension)
        const { rows, scores } = await runNative(() => binding.nearest(used, query, count), signal)
        rows.forEach((row, place) => {
          found.push({ row: firstRow + row, score: scores[place] as number })
        })
      }
    }
    await Promise.all(Array.from({ length: Math.min(cores, this.#blocks.length) }, worker))
    return found.sort((a, b) => b.score - a.score || a.row - b.row).slice(0, count)
  }

  #blockWithRoom(): { firstRow: number; vectors: Float32Array } {
    const last = this.#blocks.at(-1)
    if (last && (this.#rows - last.firstRow) * this.#dimension < last.vectors.length) return last
    const rows = Math.min(this.#blockRows, Math.max(FIRST_BLOCK_ROWS, this.#rows))
    const block = { firstRow: this.#rows, vectors: new Float32Array(rows * this.#dimension) }
    this.#blocks.push(block)
    return block
  }
}

function partOf(vectors: ArrayLike<number>, start: number, end: number): ArrayLike<number> {
  return vectors instanceof Float32Array
    ? vectors.subarray(start, end)
    : Array.prototype.slice.call(vectors, start, end)
}
