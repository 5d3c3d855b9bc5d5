/** Finds the command for a command line, runs it, and turns its errors into messages and exit codes. */
import { CosmosEmbedError } from '../errors.ts'
import { type Command, type Io, UsageError } from './command.ts'

// Imported on demand, so that `--help` does not need the addon, nor `embed` a web framework.
const commands: Record<string, () => Promise<{ command: Command }>> = {
  embed: () => import('./embed.ts'),
  live: () => import('./live.ts'),
  search: () => import('./search.ts'),
  index: () => import('./index-command.ts'),
  worker: () => import('./worker.ts'),
  queue: () => import('./queue.ts'),
  frames: () => import('./frames.ts'),
  doctor: () => import('./doctor.ts'),
  serve: () => import('./serve.ts'),
  export: () => import('./export.ts'),
  verify: () => import('./verify.ts'),
  'build-engine': () => import('./build-engine.ts'),
}

/** Runs one command line. @returns the exit code. */
export async function main(argv: string[], io: Io): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined) {
    io.stderr.write(await overview())
    return 2
  }
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    io.stdout.write(await overview())
    return 0
  }
  if (name === 'help') return main([rest[0] ?? '', '--help'], io)
  if (name === '--version' || name === '-V') {
    const { VERSION } = await import('../base/version.ts')
    io.stdout.write(`${VERSION}\n`)
    return 0
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load === undefined) {
    io.stderr.write(`cosmos-embed: no command "${name}"\n\n${await overview()}`)
    return 2
  }
  const { command } = await load()
  if (rest.includes('--help') || rest.includes('-h')) {
    io.stdout.write(command.usage)
    return 0
  }
  try {
    return await command.run(rest, io)
  } catch (error) {
    return explain(error, command, io)
  }
}

function explain(error: unknown, command: Command, io: Io): number {
  if (io.signal.aborted) {
    io.stderr.write('\nstopped\n')
    return 130
  }
  if (error instanceof UsageError) {
    io.stderr.write(`cosmos-embed ${command.name}: ${error.message}\n\n${command.usage}`)
    return 2
  }
  if (error instanceof CosmosEmbedError) {
    io.stderr.write(`cosmos-embed ${command.name}: ${error.message} [${error.code}]\n`)
    return 1
  }
  throw error
}

async function overview(): Promise<string> {
  const loaded = await Promise.all(Object.values(commands).map(async (load) => (await load()).command))
  const width = Math.max(...loaded.map(({ name }) => name.length))
  const lines = loaded.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`)
  return `Video and text in, vectors out.\n\nUsage: cosmos-embed COMMAND [OPTIONS]\n\n${lines.join('')}
"cosmos-embed help COMMAND" describes a command and its options. "cosmos-embed --version" prints the version.\n`
}
