export interface Difference {
  what: string
  detail: string
  run?: number
  reason?: string
}
/** Takes the answers of library.mjs and peer.py, which are JSON. */
// biome-ignore lint/suspicious/noExplicitAny: the answers are unchecked JSON of two programs
export function differences(library: any, peer: any): Difference[]
// biome-ignore lint/suspicious/noExplicitAny: the same
export function isReportedDamage(difference: Difference, library: any, peer: any): boolean
