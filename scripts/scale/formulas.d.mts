export interface Load {
  clips: number
  seconds: number
  mbit: number
  rowBytes: number
  jobItems: number
  jobBytes: number
  maxJobs: number
}

export interface Unit {
  name: string
  decode: number
  encode: number
  together: boolean
  overlap: number
  price: number
}

export interface Estimate {
  rate: number
  bottleneck: 'decode' | 'encode'
  units: number
  hours: number
  unitHours: number
  cost: number
  networkGbit: number
  networkBound: boolean
}

export function rateOf(unit: Omit<Unit, 'name' | 'price'>): Pick<Estimate, 'rate' | 'bottleneck'>
export function estimate(
  load: Load,
  unit: Unit,
  wanted: { units?: number; hours?: number; networkGbit?: number },
): Estimate
export function sizesOf(load: Load): {
  sourceBytes: number
  indexBytes: number
  jobs: number
  redisBytes: number
  producerBytes: number
}
