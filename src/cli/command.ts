import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { EmbedderOptions } from '../options.ts'
import { frameRules, type NamedFrameRule } from '../request/frame-rule.ts'

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>
>

/** What a command may touch: its three streams and a signal that Ctrl-C and SIGTERM abort. */
export interface Io {
  /** Default: the process's. */
  stdin?: AsyncIterable<Uint8Array>
  /** What was asked for: results, and help when it was. */
  stdout: { write(text: string): unknown }
  /** What goes on meanwhile, and what went wrong. */
  stderr: { write(text: string): unknown; isTTY?: boolean; columns?: number }
  signal: AbortSignal
  /** Asks a person a question that is answered with y or N; absent where nobody sits at a terminal. */
  ask?: (question: string) => Promise<boolean>
}

export interface Command {
  name: string
  /** One line for `cosmos-embed --help`. */
  summary: string
  /** The whole help text. */
  usage: string
  /** @returns the exit code: 0 done, 1 failed, 2 wrong usage. */
  run(argv: string[], io: Io): Promise<number>
}

/** Wrong words on the command line: exit code 2 and the usage. */
export class UsageError extends Error {}

/** `node:util`'s parseArgs, with its complaints turned into {@link UsageError}. */
export function parse<const T extends Options>(argv: string[], options: T): Parsed<T> {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** A finite number ≥ `min` from an option's text. */
export function numberOption(name: string, text: string | undefined, min: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < min) {
    throw new UsageError(`--${name}: expected a number of at least ${min}, found "${text}"`)
  }
  return value
}

/** A whole number ≥ `min` from an option's text. */
export function integerOption(name: string, text: string | undefined, min: number): number | undefined {
  const value = numberOption(name, text, min)
  if (value !== undefined && !Number.isInteger(value)) {
    throw new UsageError(`--${name}: expected a whole number, found "${text}"`)
  }
  return value
}

/** Options that every command with a model takes, and their help. */
export const modelOptions = {
  model: { type: 'string' },
  device: { type: 'string' },
} as const

export const modelUsage = `  --model DIR       model bundle (default: the embedded demo model)
  --device NAME     auto, cpu or cuda (default: auto)`

/** What those options say, as options of the embedder; the building of an engine is told on stderr. */
export function embedderOptions(
  { model, device }: { model?: string | undefined; device?: string | undefined },
  io: Pick<Io, 'stderr'>,
): EmbedderOptions {
  return { model, device: deviceOption(device), cuda: { onBuild: (line) => io.stderr.write(`${line}\n`) } }
}

/** Narrows `--frame-rule`. */
export function frameRuleOption(text: string | undefined): NamedFrameRule | undefined {
  if (text === undefined) return undefined
  const rule = frameRules.find((name) => name === text)
  if (rule) return rule
  throw new UsageError(`--frame-rule: expected ${frameRules.join(', ')}, found "${text}"`)
}

export const frameRuleUsage = `  --frame-rule RULE      card (the model card's), curator (NVIDIA's curators') or rounded (NVIDIA's Video Search
                         and Summarization's) (default card)`

/** Narrows `--device`. */
export function deviceOption(text: string | undefined): 'auto' | 'cpu' | 'cuda' | undefined {
  if (text === undefined || text === 'auto' || text === 'cpu' || text === 'cuda') return text
  throw new UsageError(`--device: expected auto, cpu or cuda, found "${text}"`)
}
