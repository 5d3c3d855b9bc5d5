/** Runs `cosmos-embed serve` as a process, with storage and media for it. */
import { type ChildProcess, type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url))

export interface ServeProcess {
  url: string
  child: ChildProcess
  /** The output so far. */
  stdout(): string
  stderr(): string
  /** Resolves when the process has exited. */
  exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Kills the process if it still runs. */
  stop(): Promise<void>
}

interface ServeOptions {
  until?: string
  port?: string
  environment?: Record<string, string>
}

/** Starts the server, by default on a free port. */
export function serveProcess(
  args: string[] = [],
  { port = '0', environment = {} }: ServeOptions = {},
): Omit<ServeProcess, 'url'> & { child: ChildProcessByStdio<null, Readable, Readable> } {
  const child = spawn(process.execPath, [cli, 'serve', '--port', port, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  })
  const out: string[] = []
  const err: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text))
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('exit', (code, signal) => resolve({ code, signal }))
  })
  return {
    child,
    stdout: () => out.join(''),
    stderr: () => err.join(''),
    exit,
    stop: async () => {
      child.kill('SIGKILL')
      await exit
    },
  }
}

/** The same, and waits until stderr contains `until`. */
export async function serve(args: string[] = [], options: ServeOptions = {}): Promise<ServeProcess> {
  const { until = 'cosmos-embed: ready' } = options
  const started = serveProcess(args, options)
  const { child, stderr, exit } = started
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', () => stderr().includes(until) && resolve())
    exit.then(({ code }) => reject(new Error(`serve ended with ${code}: ${stderr()}`)))
  })
  return { ...started, url: /listening on (http:\S+[^,\s])/.exec(stderr())?.[1] ?? '' }
}

/** A new folder, which `remove` deletes. */
export function temporaryFolder(): { folder: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-http-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

export interface Storage {
  /** `https://localhost:PORT`. */
  origin: string
  /** The certificate of its authority. */
  ca: string
  close(): Promise<void>
}

/** An HTTPS server for presigned URLs, with a new certificate. */
export async function serveStorage(folder: string, listener: RequestListener): Promise<Storage> {
  const ca = path.join(folder, 'storage.pem')
  const key = path.join(folder, 'storage.key')
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', ca], { stdio: 'pipe' })
  const server = createServer({ key: readFileSync(key), cert: readFileSync(ca) }, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `https://localhost:${(server.address() as AddressInfo).port}`,
    ca,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A short clip of FFmpeg's moving test picture. */
export function makeVideo(
  file: string,
  codec: string,
  source = 'testsrc2=size=160x120:rate=10:duration=2',
): void {
  const options = [
    '-v',
    'error',
    '-f',
    'lavfi',
    '-i',
    source,
    '-c:v',
    codec,
    '-pix_fmt',
    'yuv420p',
    '-y',
    file,
  ]
  execFileSync('ffmpeg', options)
}

/** Eight frames of the video as JPEG. */
export function makeFrames(video: string, folder: string): Buffer[] {
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-i',
    video,
    '-frames:v',
    '8',
    '-y',
    path.join(folder, 'frame-%d.jpg'),
  ])
  return Array.from({ length: 8 }, (_, at) => readFileSync(path.join(folder, `frame-${at + 1}.jpg`)))
}
