/** A model bundle: a folder with model.json, the two graphs and the tokenizer, verified before anything is loaded. */

export interface BundleFile {
  /** Absolute. */
  path: string
  sha256: string
  bytes: number
}

export interface ModelBundle {
  /** Absolute. */
  directory: string
  id: string
  variant: string
  description: string
  /** T. */
  frames: number
  height: number
  width: number
  /** D. */
  embeddingDim: number
  maxTextTokens: number
  /** `video`, `text`, `tokenizer`, and whatever else the bundle names. */
  files: Readonly<Record<string, BundleFile>> & { video: BundleFile; text: BundleFile; tokenizer: BundleFile }
  license: { name: string; path?: string; url?: string }
  source?: Readonly<Record<string, string>>
}

/** Reads model.json and verifies every file's size and SHA-256. Rejects with ModelError, or with `signal.reason`. */
export declare function loadBundle(
  directory: string,
  options?: { signal?: AbortSignal },
): Promise<ModelBundle>
