/** Programs that run beside this process: no shell, their words line by line, and their end before ours. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { onAbort } from './abort.ts'

export interface ChildOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Of its output and of its errors. */
  onLine?: (line: string) => void
  signal?: AbortSignal | undefined
}

export interface ChildEnd {
  /** Null when a signal ended it. */
  code: number | null
  /** In words, e.g. "ended with exit code 1". */
  how: string
  /** The last of them. */
  lines: string[]
}

const keptLines = 20
/** What a program has to end by itself once it is told to. */
const graceMs = 5_000

/**
 * Resolves when it has ended, whatever its code. An abort ends it and all that it has started; then the promise
 * rejects with `signal.reason`. The end of this process ends it too. Rejects with the system's error when it cannot be
 * started.
 */
export function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<ChildEnd> {
  const { cwd, env, onLine = () => {}, signal } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    // A group of its own, so that its children end with it and Ctrl-C reaches it once, through us.
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const lines: string[] = []
    const hear = (line: string) => {
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      onLine(line)
    }
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', hear)
    let force: NodeJS.Timeout | undefined
    const forget = signal
      ? onAbort(signal, () => {
          killGroup(child.pid, 'SIGTERM')
          force = setTimeout(() => killGroup(child.pid, 'SIGKILL'), graceMs)
        })
      : () => {}
    const leave = () => killGroup(child.pid, 'SIGKILL')
    process.once('exit', leave)
    const end = (settle: () => void) => {
      clearTimeout(force)
      process.off('exit', leave)
      forget()
      if (signal?.aborted) reject(signal.reason)
      else settle()
    }
    child.once('error', (error) => end(() => reject(error)))
    child.once('close', (code, killed) => {
      const how = killed === null ? `ended with exit code ${code}` : `was ended by ${killed}`
      end(() => resolve({ code, how, lines }))
    })
  })
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended by itself.
  }
}
