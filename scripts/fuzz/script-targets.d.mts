export interface ScriptTarget {
  seeds: Buffer[]
  begin(): void
  end(): void
}

export function scriptTargets(): string[]
export function loadScript(name: string): Promise<ScriptTarget>
export function check(target: ScriptTarget, input: Uint8Array): Promise<boolean>
export function inputOf(target: ScriptTarget, seed: number, round: number): Buffer
