/** Tells diagnostics channels what becomes of an embedder. */
import { publish } from '../base/diagnostics.ts'
import type { EmbedderEvent, EmbedderInfo } from '../types.ts'

export function announce({ model, device }: EmbedderInfo, state: EmbedderEvent['state']): void {
  const { id, fingerprint } = model
  publish('cosmos-embed:embedder', { state, model: id, fingerprint, device: device.kind })
}
