/** One result of `cosmos-embed doctor`. */
export interface Finding {
  check: string
  /** `note`: embedding works, but something is missing or not used. */
  state: 'ok' | 'note' | 'failed'
  found: string
  /** How to fix it. */
  fix?: string
}
