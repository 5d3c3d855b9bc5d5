/** The interface of a destination for vectors. */
import type { NamedFrameRule } from '../request/frame-rule.ts'
import type { Carried, Columns } from './columns.ts'

/** One vector of an index. */
export interface IndexRow {
  /** The item's id; for a window or shot followed by `#t=START,END`. */
  id: string
  /** The file's path, or the URL without its query, which may be a credential. Null for a text. */
  uri: string | null
  /** Seconds from the first displayed frame of the video; null if unbounded, and for a text. */
  start: number | null
  end: number | null
  /** Unit length, `model.embeddingDim` floats. */
  embedding: Float32Array
  /** Warnings about the input, e.g. "media: the file is damaged". */
  warnings: string[]
  /** Further columns of the manifest, with the types in {@link IndexDescription.columns}. */
  carried: Carried
}

/** A video or a text with all of its rows: one, or one per window. */
export interface IndexedItem {
  id: string
  rows: readonly IndexRow[]
}

/** What all vectors of an index have in common. Vectors of indexes that differ in it cannot be compared. */
export interface IndexDescription {
  /** Version of this package that created the index. */
  version: string
  model: { id: string; fingerprint: string; embeddingDim: number }
  frameRule: NamedFrameRule
  /** Seconds. */
  frameTolerance: number
  /** Length and stride of the windows in seconds, or how shots are told apart; null for one vector per video. */
  windows: { seconds: number; stride: number } | { shots: { threshold: number; minSeconds: number } } | null
  /** Further columns and their types. */
  columns: Columns
}

/**
 * A destination for vectors. `buildIndex` calls its methods one at a time: `open` once, `held` once, `write` any number of
 * times, and `close` once if `open` succeeded. A rejection of any of them ends the run.
 */
export interface VectorSink {
  /**
   * Creates the destination, or opens an existing one to add to it. Rejects if that holds vectors that do not compare with
   * these; see {@link agree}.
   */
  open(description: IndexDescription): Promise<void>
  /** Yields the ids of items that are stored with all of their rows. They are not embedded again. */
  held(): AsyncIterable<string>
  /**
   * Adds items. Once it resolves, they survive a crash. An item is stored with all of its rows or not at all, and replaces
   * an item with the same id: after a crash, the last batch may be written again.
   */
  write(items: readonly IndexedItem[]): Promise<void>
  /** Releases the destination. */
  close(): Promise<void>
}
