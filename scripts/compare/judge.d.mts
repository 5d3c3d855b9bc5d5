export interface Difference {
  what: string
  detail: string
  run?: number
  reason?: string
}
/** What ours.mjs and peer.py answered: JSON. */
// biome-ignore lint/suspicious/noExplicitAny: of two programs
export function differences(ours: any, peer: any): Difference[]
