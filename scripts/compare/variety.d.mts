import type { Combination } from './combinations.mjs'

export function varied(count: number, seed: number, decoders?: readonly string[]): Combination[]
