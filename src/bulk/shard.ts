/** One of several processes that share the work without talking to one another. */
import { createHash } from 'node:crypto'

export interface Shard {
  /** From 0. */
  index: number
  count: number
}

/** Which of `count` shards has an item: the first four bytes of its id's SHA-256, as a number, modulo `count`. */
export function shardOf(id: string, count: number): number {
  return createHash('sha256').update(id).digest().readUInt32BE(0) % count
}
