/** Whose turn it is in every queue: `query` overtakes `bulk`. */
export type Priority = 'query' | 'bulk'

/**
 * How many times in a row `query` may overtake a waiting `bulk` before `bulk` gets a turn, so that a steady stream of
 * queries slows indexing down but never stops it.
 */
export const MAX_OVERTAKES = 8

/** Waiting entries, in order of arrival within their priority. Any entry may leave at any time. */
export class PriorityQueue<T extends { readonly priority: Priority }> {
  readonly #waiting: Record<Priority, Set<T>> = { query: new Set(), bulk: new Set() }
  #overtakes = 0

  get size(): number {
    return this.#waiting.query.size + this.#waiting.bulk.size
  }

  count(priority: Priority): number {
    return this.#waiting[priority].size
  }

  has(entry: T): boolean {
    return this.#waiting[entry.priority].has(entry)
  }

  add(entry: T): void {
    this.#waiting[entry.priority].add(entry)
  }

  delete(entry: T): boolean {
    return this.#waiting[entry.priority].delete(entry)
  }

  /**
   * Removes and returns the entries that `choose` picks from `waiting`, the entries of the priority whose turn it is, oldest
   * first. `others` are those of the other priority, for information. An empty choice means "not yet" and uses no turn; a
   * turn that bulk cannot use goes to the queries.
   */
  take(choose: (waiting: ReadonlySet<T>, others: ReadonlySet<T>) => readonly T[]): readonly T[] {
    const { query, bulk } = this.#waiting
    const contended = query.size > 0 && bulk.size > 0
    if (contended && this.#overtakes >= MAX_OVERTAKES) {
      const taken = this.#remove(bulk, choose(bulk, query))
      if (taken.length > 0) {
        this.#overtakes = 0
        return taken
      }
    }
    const [turn, others] = query.size > 0 ? [query, bulk] : [bulk, query]
    if (turn.size === 0) return []
    const taken = this.#remove(turn, choose(turn, others))
    if (taken.length > 0) this.#overtakes = contended ? this.#overtakes + 1 : 0
    return taken
  }

  #remove(from: Set<T>, taken: readonly T[]): readonly T[] {
    for (const entry of taken) from.delete(entry)
    return taken
  }
}

/** A choice for {@link PriorityQueue.take}: the oldest entry if it is `ready`. Later entries never pass it. */
export function firstIf<T>(ready: (entry: T) => boolean): (waiting: ReadonlySet<T>) => T[] {
  return (waiting) => {
    const { value, done } = waiting.values().next()
    return done || !ready(value) ? [] : [value]
  }
}
