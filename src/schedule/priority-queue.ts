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

  add(entry: T): void {
    this.#waiting[entry.priority].add(entry)
  }

  delete(entry: T): boolean {
    return this.#waiting[entry.priority].delete(entry)
  }

  /**
   * Removes and returns what `choose` picks among the entries of the priority whose turn it is, oldest first.
   * An empty choice means "not yet" and uses up no turn.
   */
  take(choose: (waiting: ReadonlySet<T>) => readonly T[]): readonly T[] {
    const { query, bulk } = this.#waiting
    const overtakes = query.size > 0 && bulk.size > 0
    const turn = query.size > 0 && !(overtakes && this.#overtakes >= MAX_OVERTAKES) ? query : bulk
    if (turn.size === 0) return []
    const taken = choose(turn)
    if (taken.length === 0) return taken
    this.#overtakes = overtakes && turn === query ? this.#overtakes + 1 : 0
    for (const entry of taken) turn.delete(entry)
    return taken
  }
}
