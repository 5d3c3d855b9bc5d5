/** `query` work overtakes `bulk` work. */
export type Priority = 'query' | 'bulk'

/**
 * How often in a row `query` may overtake a waiting `bulk`. Then one turn is bulk's, so that a steady stream of
 * queries slows indexing down but never stops it.
 */
export const MAX_OVERTAKES = 8

/** Entries that wait, in order of arrival within their priority. Any of them may leave at any time. */
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
   * Removes and returns what `choose` picks among the entries of the priority whose turn it is, oldest first; the
   * entries of the other come second, to look at. An empty choice means "not yet" and uses up no turn: a turn that
   * bulk cannot use goes to the queries.
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

/** A choice for {@link PriorityQueue.take}: the one that came first, if it is `ready`. No later one passes it by. */
export function firstIf<T>(ready: (entry: T) => boolean): (waiting: ReadonlySet<T>) => T[] {
  return (waiting) => {
    const { value, done } = waiting.values().next()
    return done || !ready(value) ? [] : [value]
  }
}
