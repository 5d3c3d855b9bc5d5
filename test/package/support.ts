import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { inject } from 'vitest'

export const packed = inject('packed')
export const clips = path.join(packed.root, 'examples', 'clips')
/** One example clip of each container. */
export const videos = [path.join(clips, 'red-circle.mp4'), path.join(clips, 'blue-circle.webm')]
export const installedPackage = path.join(packed.project, 'node_modules', 'cosmos-embed')
export const prebuild = path.join(installedPackage, 'prebuilds', `linux-${process.arch}`)

export interface Outcome {
  status: number | null
  signal: string | null
  stdout: string
  stderr: string
}

/** Runs a command without the environment variables of this process that a user would not have. */
export function run(
  command: string,
  args: readonly string[],
  {
    cwd = packed.project,
    env = {},
    timeout = 120_000,
  }: { cwd?: string; env?: Record<string, string>; timeout?: number } = {},
): Outcome {
  const {
    COSMOS_EMBED_ADDON: _addon,
    COSMOS_EMBED_ONNXRUNTIME: _library,
    NODE_OPTIONS: _options,
    ...clean
  } = process.env
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: { ...clean, ...env },
    encoding: 'utf8',
    timeout,
  })
  if (error) throw error
  return { status, signal, stdout, stderr }
}

/** Parses the JSON that a script of consumers/ prints. Throws with its output if it has failed. */
export function result(outcome: Outcome): { vectors: number[][]; [key: string]: unknown } {
  if (outcome.status !== 0) {
    throw new Error(`exit ${outcome.status ?? outcome.signal}:\n${outcome.stdout}${outcome.stderr}`)
  }
  return JSON.parse(outcome.stdout.trimEnd().split('\n').at(-1) ?? '')
}

export function cosine(a: readonly number[] = [], b: readonly number[] = []): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0)
}
