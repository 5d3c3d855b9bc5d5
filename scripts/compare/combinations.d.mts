interface Named {
  name: string
}

export interface Combination {
  name: string
  stream: Named & { codec: string }
  container: Named
  treatment: Named
}
export function all(decoders?: readonly string[]): Combination[]
export function some(count: number, seed: number, decoders?: readonly string[]): Combination[]
