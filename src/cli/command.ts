/** What all commands share: their interface, their streams, and the parsing of options. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { EmbedderOptions } from '../options.ts'
import { frameRules, type NamedFrameRule } from '../request/frame-rule.ts'

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>
>

/** The streams and the signal of a command. Commands touch the process only through it. */
export interface Io {
  /** Default: the process's. */
  stdin?: AsyncIterable<Uint8Array>
  /** Results, and help if it was requested. */
  stdout: { write(text: string): unknown }
  /** Progress and errors. */
  stderr: { write(text: string): unknown; isTTY?: boolean; columns?: number }
  /** Aborted by Ctrl-C and SIGTERM. */
  signal: AbortSignal
  /** Asks the user a yes-no question; absent without a terminal. */
  ask?: (question: string) => Promise<boolean>
}

export interface Command {
  name: string
  /** The whole help text. */
  usage: string
  /** @returns the exit code: 0 done, 1 failed, 2 wrong usage. */
  run(argv: string[], io: Io): Promise<number>
}

/** A wrong command line: the usage is printed, and the exit code is 2. */
export class UsageError extends Error {}

/** `parseArgs` of `node:util`, which throws {@link UsageError} here. */
export function parse<const T extends Options>(argv: string[], options: T): Parsed<T> {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** Parses an option's value as a finite number ≥ `min`. Throws UsageError. */
export function numberOption(name: string, text: string | undefined, min: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < min) {
    throw new UsageError(`--${name}: expected a number of at least ${min}, found "${text}"`)
  }
  return value
}

/** Parses an option's value as a whole number ≥ `min`. Throws UsageError. */
export function integerOption(name: string, text: string | undefined, min: number): number | undefined {
  const value = numberOption(name, text, min)
  if (value !== undefined && !Number.isInteger(value)) {
    throw new UsageError(`--${name}: expected a whole number, found "${text}"`)
  }
  return value
}

/** The options of every command that loads a model. */
export const modelOptions = {
  model: { type: 'string' },
  device: { type: 'string' },
} as const

/** Help text of {@link modelOptions}. */
export const modelUsage = `  --model DIR            model bundle (default: the demo model of this package)
  --device NAME          auto, cpu or cuda (default: auto)`

/** Turns {@link modelOptions} into embedder options. The output of engine builds goes to stderr. */
export function embedderOptions(
  { model, device }: { model?: string | undefined; device?: string | undefined },
  io: Pick<Io, 'stderr'>,
): EmbedderOptions {
  return { model, device: deviceOption(device), cuda: { onBuild: (line) => io.stderr.write(`${line}\n`) } }
}

/** Checks the value of `--frame-rule`. Throws UsageError. */
export function frameRuleOption(text: string | undefined): NamedFrameRule | undefined {
  if (text === undefined) return undefined
  const rule = frameRules.find((name) => name === text)
  if (rule) return rule
  throw new UsageError(`--frame-rule: expected ${frameRules.join(', ')}, found "${text}"`)
}

/** Help text of `--frame-rule`. */
export const frameRuleUsage = `  --frame-rule RULE      how frames are sampled: card (as in the model card), curator (as in NVIDIA's curators) or
                         rounded (as in NVIDIA's Video Search and Summarization) (default: card)`

/** Checks the value of `--device`. Throws UsageError. */
export function deviceOption(text: string | undefined): 'auto' | 'cpu' | 'cuda' | undefined {
  if (text === undefined || text === 'auto' || text === 'cpu' || text === 'cuda') return text
  throw new UsageError(`--device: expected auto, cpu or cuda, found "${text}"`)
}
