export interface AllowedSkip {
  file: string
  test?: RegExp
  report?: string
  reason: string
  when?: () => boolean
}
export const allowedSkips: AllowedSkip[]
