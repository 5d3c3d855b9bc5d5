import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { afterAll } from 'vitest'
import { openQueue, type QueueStatus } from '../../src/queue/index.ts'
import { freePort } from '../docs/snippets.ts'

/** Whether this machine has Debian's redis-server. */
export const hasRedis: boolean = spawnSync('redis-server', ['--version']).status === 0

/** A Redis of its own for a file of tests: on a free port, with its data in `folder`, so that it survives a restart. */
export class RedisServer {
  url = ''
  readonly #folder: string
  #port = 0
  #process: ChildProcess | undefined

  constructor(folder: string) {
    this.#folder = folder
    afterAll(() => this.stop())
  }

  async start(): Promise<void> {
    this.#port ||= await freePort()
    this.url = `redis://127.0.0.1:${this.#port}`
    const options = { port: this.#port, bind: '127.0.0.1', dir: this.#folder, save: '', appendonly: 'yes' }
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`])
    const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = server
    let log = ''
    for await (const text of server.stdout.setEncoding('utf8')) {
      log += text
      if (log.includes('Ready to accept connections')) break
    }
    if (server.exitCode !== null) throw new Error(`redis-server ended:\n${log}`)
  }

  async stop(): Promise<void> {
    const server = this.#process
    this.#process = undefined
    if (!server || server.exitCode !== null) return
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
}

/** A worker in a process of its own, with a double of the embedder. */
export class WorkerProcess {
  readonly exit: Promise<number | NodeJS.Signals | null>
  output = ''
  readonly #process: ChildProcess

  constructor(options: object) {
    const script = path.join(import.meta.dirname, 'children', 'worker.mjs')
    const child = spawn(process.execPath, [script, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process = child
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
    this.exit = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve(code ?? signal))
    })
    afterAll(() => this.kill('SIGKILL'))
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }
}

export async function statusOfQueue(url: string, name: string): Promise<QueueStatus> {
  await using queue = await openQueue({ url, name })
  return await queue.status()
}

/** Writes a manifest of the videos `/v/0.mp4`, `/v/1.mp4`, … with the ids i0, i1, … */
export function writeManifest(file: string, count: number, first: number = 0): string {
  const rows = Array.from({ length: count }, (_, index) => ({
    id: `i${first + index}`,
    video: `/v/${first + index}.mp4`,
    tag: index % 3 === 0 ? null : index,
  }))
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}
