/** Divides items into batches of like length, because a batch computes every row at the length of its longest. */

/** Of a kind of item that is padded to the longest one of its batch. */
export interface Padding {
  /** The most that a batch may compute: items × length of the longest. An item beyond it is a batch of its own. */
  budget: number
  /** What one more batch costs, as the length whose computation takes as long. */
  batchCost: number
}

export interface LengthLimits extends Padding {
  /** Items per batch, ≥ 1. */
  maxItems: number
}

/** Division costs items × batch size, so of a long queue only this many times the largest batch take part, oldest first. */
const CONSIDERED_BATCHES = 8

/**
 * The batch of the first item in the cheapest division of all items into batches. So that no item starves because of its
 * length, the first must be the oldest.
 */
export function batchOfFirst<T>(
  items: readonly T[],
  lengthOf: (item: T) => number,
  limits: LengthLimits,
): readonly T[] {
  const considered = items.slice(0, CONSIDERED_BATCHES * limits.maxItems)
  // The sort is stable: items of equal length stay in order of arrival.
  const sorted = considered.sort((a, b) => lengthOf(a) - lengthOf(b))
  const ends = divide(sorted.map(lengthOf), limits)
  const place = sorted.indexOf(items[0] as T)
  let start = 0
  for (let end = ends[0] ?? 0; end <= place; end = ends[end] ?? sorted.length) start = end
  return sorted.slice(start, ends[start])
}

/**
 * Divides rising lengths into batches at the least cost.
 * @returns where a batch that begins at each place ends
 */
function divide(lengths: readonly number[], { maxItems, budget, batchCost }: LengthLimits): number[] {
  const ends: number[] = []
  // The least cost of everything from a place on.
  const costs = new Array<number>(lengths.length + 1).fill(0)
  for (let start = lengths.length - 1; start >= 0; start--) {
    let least = Number.POSITIVE_INFINITY
    for (let end = start + 1; end <= Math.min(start + maxItems, lengths.length); end++) {
      const padded = (end - start) * (lengths[end - 1] as number)
      if (padded > budget && end > start + 1) break
      const cost = batchCost + padded + (costs[end] as number)
      // Of equal costs the larger batch goes first.
      if (cost > least) continue
      least = cost
      ends[start] = end
    }
    costs[start] = least
  }
  return ends
}
