export interface ScriptTarget {
  seeds: Buffer[]
  begin(): void
  end(): void
}

/** An input that a target must not take like this. */
export class Finding extends Error {
  constructor(what: string, input: Uint8Array, options?: ErrorOptions)
  input: Uint8Array
}

export function scriptTargets(): string[]
export function loadScript(name: string): Promise<ScriptTarget>
export function check(target: ScriptTarget, input: Uint8Array): Promise<boolean>
export function inputOf(target: ScriptTarget, seed: number, round: number): Buffer
