/** Where the vectors of an index go. */
import type { NamedFrameRule } from '../request/frame-rule.ts'
import type { Carried, Columns } from './columns.ts'

/** One vector. */
export interface IndexRow {
  /** Of the item; of a window with `#t=START,END` behind it. */
  id: string
  /** The file's path, or the URL without its query, which may be a credential. Null for a text. */
  uri: string | null
  /** Seconds from the first displayed frame; null where there is no such bound. */
  start: number | null
  end: number | null
  /** Unit length. */
  embedding: Float32Array
  /** What should be known about the input, e.g. "media: the file is damaged". */
  warnings: string[]
  /** Further columns of the manifest, each with the type that {@link IndexDescription.columns} says. */
  carried: Carried
}

/** A video or a text with all of its rows: one, or one per window. */
export interface IndexedItem {
  id: string
  rows: readonly IndexRow[]
}

/** What all vectors of an index have in common. Those of two that differ in it are not comparable. */
export interface IndexDescription {
  /** Of this package, when the index was begun. */
  version: string
  model: { id: string; fingerprint: string; embeddingDim: number }
  frameRule: NamedFrameRule
  frameTolerance: number
  /** Null: one vector per video. */
  windows: { seconds: number; stride: number } | null
  /** Further columns and their types. */
  columns: Columns
}

/**
 * A destination. Its methods are called one after another: `open` once, `held` once, `write` again and again, `close`
 * once whatever happened after `open`. What they reject with ends the run.
 */
export interface VectorSink {
  /** Makes the destination, or opens it to go on. Rejects when it is an index of other vectors; see {@link agree}. */
  open(description: IndexDescription): Promise<void>
  /** Ids of the items that are there with all of their rows: they are not embedded again. */
  held(): AsyncIterable<string>
  /**
   * Adds items; when it resolves, they survive the end of the process. An item is there with all of its rows or with
   * none, and one whose id is there already takes its place: after a crash the last batch may come again.
   */
  write(items: readonly IndexedItem[]): Promise<void>
  close(): Promise<void>
}
