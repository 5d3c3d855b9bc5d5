/** Runs a child process without a shell, streams its lines, and kills it on exit. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { onAbort } from './abort.ts'

export interface ChildOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Called with each line of stdout and stderr. */
  onLine?: (line: string) => void
  signal?: AbortSignal | undefined
}

export interface ChildEnd {
  /** Exit code; null when a signal ended the process. */
  code: number | null
  /** The end in words, e.g. "ended with exit code 1". */
  how: string
  /** The last lines that it wrote. */
  lines: string[]
}

const keptLines = 20
/** Time between SIGTERM and SIGKILL. */
const graceMs = 5_000

/**
 * Resolves when the process has ended, whatever its exit code. An abort, and the exit of this process, end it together with
 * all processes that it has started. Rejects with `signal.reason` after an abort, or with the system's error when the
 * program cannot be started.
 */
export function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<ChildEnd> {
  const { cwd, env, onLine = () => {}, signal } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    // Its own process group: its children can be ended with it, and Ctrl-C reaches it only through the abort.
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const lines: string[] = []
    const keepLine = (line: string) => {
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      onLine(line)
    }
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', keepLine)
    let force: NodeJS.Timeout | undefined
    const forget = signal
      ? onAbort(signal, () => {
          killGroup(child.pid, 'SIGTERM')
          force = setTimeout(() => killGroup(child.pid, 'SIGKILL'), graceMs)
        })
      : () => {}
    const killOnExit = () => killGroup(child.pid, 'SIGKILL')
    process.once('exit', killOnExit)
    const end = (settle: () => void) => {
      clearTimeout(force)
      process.off('exit', killOnExit)
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
    // The group has already ended.
  }
}
