/** A near and a far embedder over the same double, whose vectors depend on what is embedded and on nothing else. */
import type { AnyEmbedder, EmbedRequest } from 'cosmos-embed'
import { createClient } from 'cosmos-embed/client'
import { onTestFinished } from 'vitest'
import { type Double, doubleEmbedder } from '../http/double.ts'
import { serveDouble } from '../http/support.ts'

export const major = Number(process.versions.node.split('.')[0])

export interface Side {
  embedder: AnyEmbedder
  double: Double
}

export const sides = ['near', 'far'] as const

export async function open(
  side: (typeof sides)[number],
  before?: (request: EmbedRequest, signal: AbortSignal | undefined) => Promise<void> | void,
): Promise<Side> {
  const options = before ? { before } : {}
  if (side === 'near') {
    const double = doubleEmbedder(options)
    return { embedder: double, double }
  }
  const { url, double } = await serveDouble({}, options)
  const embedder = createClient({ url })
  onTestFinished(() => embedder.dispose())
  return { embedder, double }
}
