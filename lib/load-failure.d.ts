import type { NativeFailure } from './binding.js'

export interface LoadFailure {
  /** Every file or folder that was tried, with its own error. */
  attempts: { path: string; error: { code?: string; message: string } }[]
  /** Value of COSMOS_EMBED_ADDON. */
  override?: string | undefined
  platform: string
  arch: string
  /** "glibc 2.36" | "musl" | "" (not Linux). */
  libc: string
  /** e.g. "20.20.2" */
  node: string
  /** package.json's range, of the form "^20.19.0 || >=22.12.0". */
  engines: string
}

/** An error with code `library`, whose message lists what was tried, then causes and remedies. */
export function explainLoadFailure(failure: LoadFailure): Error & NativeFailure
