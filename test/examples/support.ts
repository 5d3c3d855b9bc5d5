/** Runs the programs of examples/ as a reader does: one command in the checkout. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))
export const clips: string = path.join(root, 'examples', 'clips')
export const clip = (name: string): string => path.join(clips, name)
export const videoNames: string[] = readdirSync(clips).filter((name) => /\.(mp4|webm)$/.test(name))

export interface Program {
  child: ChildProcess
  stdout(): string
  stderr(): string
  exit: Promise<number | NodeJS.Signals | null>
}

/** `file` is below examples/, or absolute. */
export function start(file: string, args: string[] = [], env: Record<string, string> = {}): Program {
  const child = spawn(process.execPath, [path.resolve(root, 'examples', file), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  onTestFinished(() => void child.kill('SIGKILL'))
  return {
    child,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exit: new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal))),
  }
}

/** Runs the example to its end. Returns its lines, and fails unless it succeeds. */
export async function lines(file: string, args: string[] = [], env: Record<string, string> = {}) {
  const program = start(file, args, env)
  const code = await program.exit
  expect(code, program.stderr()).toBe(0)
  return program.stdout().trim().split('\n')
}

/** Starts an example that is a server, on a free port. Returns the address that it prints. */
export async function serve(file: string, args: string[] = [], env: Record<string, string> = {}) {
  const program = start(file, args, { PORT: '0', ...env })
  let ended = false
  program.exit.then(() => {
    ended = true
  })
  for (;;) {
    const address = /http:\/\/\S+/.exec(program.stdout())?.[0]
    if (address !== undefined) return { ...program, address }
    if (ended) throw new Error(`it ended:\n${program.stderr()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
