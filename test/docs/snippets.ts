/** The programs that README and docs show, and the files that they speak of. */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** What a snippet may use besides this package. */
const guests = ['fastify', 'openai']
/** The port that the documentation speaks of. */
const documentedPort = '8000'
/** Databases that the documentation speaks of. recipes.test.ts runs these programs against doubles. */
const databases = /localhost:(6333|9200|19530)/

export interface Snippet {
  /** File and number, e.g. "README.md 1". */
  name: string
  code: string
  /** It ends by itself; it calls a server that is there already; it is a server; or it is only read, since it needs more than is here. */
  kind: 'program' | 'client' | 'server' | 'read'
}

/** Every block of JavaScript in the documentation. Blocks in TypeScript are parts of programs. */
export function snippets(): Snippet[] {
  const pages = readdirSync(path.join(root, 'docs'), { recursive: true }) as string[]
  // docs/api is generated, and shows no programs.
  const written = pages.filter((file) => !file.startsWith(`api${path.sep}`)).sort()
  const files = ['README.md', ...written.map((file) => path.join('docs', file))]
  return files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => {
      const blocks = readFileSync(path.join(root, file), 'utf8').matchAll(/^```js\n(.*?)^```/gms)
      return [...blocks].map(([, code = ''], i) => ({ name: `${file} ${i + 1}`, code, kind: kindOf(code) }))
    })
}

function kindOf(code: string): Snippet['kind'] {
  const imported = [...code.matchAll(/\b(?:from|import\() *'((?:@[^/']+\/)?[^/']+)/g)].map(
    ([, name = '']) => name,
  )
  const isThere = (name: string) =>
    name === 'cosmos-embed' || name.startsWith('node:') || guests.includes(name)
  if (!imported.every(isThere) || databases.test(code)) return 'read'
  if (/\.listen\(/.test(code)) return 'server'
  return code.includes(documentedPort) ? 'client' : 'program'
}

/** Makes `folder`, in which cosmos-embed must be found, a place where the snippets run: the packages, models and videos that they name. */
export function prepare(folder: string): void {
  const clips = path.join(root, 'examples', 'clips')
  for (const part of ['models', 'clips', 'node_modules'])
    mkdirSync(path.join(folder, part), { recursive: true })
  symlinkSync(path.join(root, 'models', 'demo'), path.join(folder, 'models', 'cosmos-embed1-224p'))
  for (const guest of guests) {
    symlinkSync(path.join(root, 'node_modules', guest), path.join(folder, 'node_modules', guest))
  }
  const videos = {
    'red-circle.mp4': ['clips/a.mp4', 'big.mp4', 'clip.mp4', 'long.mkv'],
    'blue-circle.webm': ['clips/b.webm'],
  }
  for (const [from, names] of Object.entries(videos)) {
    for (const name of names) cpSync(path.join(clips, from), path.join(folder, name))
  }
}

/** Runs the snippet as `node` runs a file of `folder`. Throws, with what it wrote, unless it did what it is for. */
export async function runSnippet(node: string, { name, code, kind }: Snippet, folder: string): Promise<void> {
  const port = await freePort()
  const file = path.join(folder, `${name.replace(/\W+/g, '-')}-${port}.mjs`)
  writeFileSync(file, code.replaceAll(documentedPort, String(port)))
  switch (kind) {
    case 'read':
      await ends(node, ['--check', file], folder)
      return
    case 'program':
      await ends(node, [file], folder)
      return
    case 'server':
      return answers(node, [file], folder, port)
    case 'client': {
      const serve = path.join(folder, 'node_modules', 'cosmos-embed', 'dist', 'cli', 'bin.js')
      const args = [serve, 'serve', '--port', String(port)]
      return answers(node, args, folder, port, () => ends(node, [file], folder))
    }
  }
}

interface Program {
  exit: Promise<number | string | null>
  output(): string
  kill(): void
}

function start(node: string, args: string[], cwd: string): Program {
  const { COSMOS_EMBED_ADDON: _addon, NODE_OPTIONS: _options, ...env } = process.env
  const child = spawn(node, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return {
    exit: new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('close', (code, signal) => resolve(code ?? signal))
    }),
    output: () => output,
    kill: () => child.kill('SIGKILL'),
  }
}

/** Resolves with what the program wrote. */
export async function ends(node: string, args: string[], folder: string): Promise<string> {
  const program = start(node, args, folder)
  const code = await program.exit
  if (code !== 0) throw new Error(`ended with ${code}:\n${program.output()}`)
  return program.output()
}

/** Waits until the server is ready, whatever the prefix of its routes, and then for `use`. */
async function answers(
  node: string,
  args: string[],
  folder: string,
  port: number,
  use: () => Promise<unknown> = async () => {},
): Promise<void> {
  const program = start(node, args, folder)
  let ended: number | string | null | undefined
  program.exit.then((code) => {
    ended = code
  })
  const isReady = async (prefix: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${prefix}/v1/health/ready`).catch(() => undefined)
    return answer?.status === 200
  }
  try {
    while (!(await isReady('')) && !(await isReady('/embed'))) {
      if (ended !== undefined) throw new Error(`ended with ${ended}:\n${program.output()}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await use()
  } finally {
    program.kill()
    await program.exit
  }
}

/** Nobody listens on it now. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
