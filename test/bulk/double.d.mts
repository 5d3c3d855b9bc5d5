import type { Embedder } from '../../src/index.ts'

export function doubleEmbedder(options?: {
  fail?: (name: string) => unknown
  fingerprint?: string
}): Embedder & { calls: number }
export function vectorOf(name: string): Float32Array
