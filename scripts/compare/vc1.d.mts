export interface Written {
  profile: 'advanced' | 'main'
  count: number
  gop: number
  between: number
  rate: number
}
export const written: { width: number; height: number }
export function writeVc1(stream: Written): Buffer
export function timesOfVc1(stream: Pick<Written, 'between' | 'count' | 'rate'>): string
