/** Divides the items among processes that do not communicate. */
import { createHash } from 'node:crypto'

/** The share of one process. */
export interface Shard {
  /** 0 to `count` − 1. */
  index: number
  /** Number of processes. */
  count: number
}

/** The shard that an item belongs to: the first four bytes of its id's SHA-256, big-endian, modulo `count`. */
export function shardOf(id: string, count: number): number {
  return createHash('sha256').update(id).digest().readUInt32BE(0) % count
}
