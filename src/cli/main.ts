/** Finds the command for a command line, runs it, and turns its errors into messages and exit codes. */
import type { Command, Io } from './command.ts'

/** Loaded on demand, so that `--help` loads no command, nor `embed` a web framework. */
const commands: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  embed: { summary: 'embed videos and texts', load: () => import('./embed.ts') },
  live: { summary: 'embed the windows of a live stream as they fill', load: () => import('./live.ts') },
  search: { summary: 'find videos in a folder or an index by text', load: () => import('./search.ts') },
  index: { summary: 'embed a library of videos into an index', load: () => import('./index-command.ts') },
  worker: { summary: 'embed the items of a queue', load: () => import('./worker.ts') },
  queue: { summary: 'show, retry or empty a queue', load: () => import('./queue.ts') },
  frames: { summary: 'write the frames of a video that the model sees', load: () => import('./frames.ts') },
  doctor: {
    summary: 'check what this machine can do, and say what is missing',
    load: () => import('./doctor.ts'),
  },
  serve: { summary: 'serve the documented HTTP interface', load: () => import('./serve.ts') },
  export: {
    summary: 'convert a Cosmos-Embed1 checkpoint to a model bundle',
    load: () => import('./export.ts'),
  },
  verify: {
    summary: 'check a model bundle and the vectors it gives on this machine',
    load: () => import('./verify.ts'),
  },
  'build-engine': {
    summary: 'build the TensorRT engines of a model for a GPU of this machine',
    load: () => import('./build-engine.ts'),
  },
}

/** Runs one command line. @returns the exit code. */
export async function main(argv: string[], io: Io): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined) {
    io.stderr.write(overview())
    return 2
  }
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    io.stdout.write(overview())
    return 0
  }
  if (name === 'help') return main([rest[0] ?? '', '--help'], io)
  if (name === '--version' || name === '-V') {
    const { VERSION } = await import('../base/version.ts')
    io.stdout.write(`${VERSION}\n`)
    return 0
  }
  const known = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (known === undefined) {
    io.stderr.write(`cosmos-embed: no command "${name}"\n\n${overview()}`)
    return 2
  }
  const { command } = await known.load()
  if (rest.includes('--help') || rest.includes('-h')) {
    io.stdout.write(command.usage)
    return 0
  }
  try {
    return await command.run(rest, io)
  } catch (error) {
    return await explain(error, command, io)
  }
}

async function explain(error: unknown, command: Command, io: Io): Promise<number> {
  const [{ CosmosEmbedError }, { UsageError }] = await Promise.all([
    import('../errors.ts'),
    import('./command.ts'),
  ])
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

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}\n`)
  return `Video and text in, vectors out.\n\nUsage: cosmos-embed COMMAND [OPTIONS]\n\n${lines.join('')}
"cosmos-embed help COMMAND" describes a command and its options. "cosmos-embed --version" prints the version.\n`
}
