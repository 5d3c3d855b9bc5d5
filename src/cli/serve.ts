/** The command `serve`: runs the HTTP server until it is stopped. */
import process from 'node:process'
import { stopGraceMs } from '../base/native-job.ts'
import { createEmbedder } from '../embedder.ts'
import type * as http from '../http/index.ts'
import type { EmbedderInfo } from '../types.ts'
import type { Command, Io } from './command.ts'
import { LogLines } from './log-lines.ts'
import { flagHelp } from './serve-flags.ts'
import { type ServeOptions, serveOptions } from './serve-options.ts'

/** Milliseconds that lines of the log are gathered. */
const logDelayMs = 50

const usage = `Usage: cosmos-embed serve [OPTIONS]

Serves the documented HTTP interface: POST /v1/embeddings, health, models, metrics, /openapi.json, and a page at /.

${flagHelp()}
Each option can also be set by an environment variable: --max-items by COSMOS_EMBED_MAX_ITEMS. Values of repeatable options
are separated by commas there. The NIM's variables in brackets mean the same; NIM_ENABLE_OTEL=0 means
--no-tracing --no-otel-metrics.
Logs are JSON lines on stdout, written every ${logDelayMs} ms, and at once from the level warn on. SIGTERM and Ctrl-C finish
running requests and exit with 0; a second one exits at once.
`

async function run(argv: string[], io: Io): Promise<number> {
  const options = serveOptions(argv)
  const adapter = await loadAdapter()
  if (adapter === undefined) {
    io.stderr.write(
      'cosmos-embed serve needs Fastify 5, which is not installed:\n  npm install fastify@^5.12.1\n',
    )
    return 1
  }
  const stopped = stopSignal(io.signal)
  const onBuild = (line: string) => io.stderr.write(`${line}\n`)
  const cuda = { ...options.embedder.cuda, onBuild }
  const embedder = createEmbedder({ ...options.embedder, cuda, signal: stopped.signal })
  // Prevents an unhandled rejection: the server awaits the promise and reports the failure.
  embedder.catch(() => {})
  const lines = new LogLines({ write: (text) => io.stdout.write(text), delayMs: logDelayMs })
  // As with pino's own destination, the server goes on when nobody reads its log any more.
  process.stdout.on('error', () => {})
  // Also when a second signal ends the process at once.
  const flushAtExit = () => lines.flush()
  process.once('exit', flushAtExit)
  const server = await adapter.createServer({
    ...options.server,
    embedder,
    logger: { level: options.logLevel, stream: lines },
  })
  try {
    if (!stopped.signal.aborted) {
      const address = await server.listen({ host: options.host, port: options.port })
      io.stderr.write(`cosmos-embed: listening on ${address}, loading the model …\n`)
      await Promise.race([stopped.promise, server.ready])
      if (!stopped.signal.aborted) io.stderr.write(summary(address, (await embedder).info(), options))
    }
    await stopped.promise
    io.stderr.write(`cosmos-embed: stopping; running requests have ${options.drainMs} ms\n`)
    return 0
  } finally {
    // Work that does not react to its cancellation must not keep the process alive.
    const overdue = setTimeout(() => process.exit(0), options.drainMs + 2 * stopGraceMs)
    await server.close({ drainMs: options.drainMs })
    await embedder.then((loaded) => loaded.dispose()).catch(() => {})
    clearTimeout(overdue)
    lines.flush()
    process.off('exit', flushAtExit)
    stopped.release()
  }
}

/** Undefined if Fastify, an optional peer dependency, is not installed. */
async function loadAdapter(): Promise<typeof http | undefined> {
  try {
    return await import('../http/index.ts')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes("'fastify'")) return undefined
    throw error
  }
}

/** Aborts at the first SIGTERM or Ctrl-C, which may have happened already. At the second, the process exits at once. */
function stopSignal(interrupt: AbortSignal): {
  signal: AbortSignal
  promise: Promise<void>
  release(): void
} {
  const controller = new AbortController()
  const exit = () => process.exit(1)
  const promise = new Promise<void>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve())
  })
  const stop = () => {
    process.on('SIGINT', exit).on('SIGTERM', exit)
    controller.abort(new Error('the server was stopped'))
  }
  if (interrupt.aborted) stop()
  else interrupt.addEventListener('abort', stop)
  return {
    signal: controller.signal,
    promise,
    release: () => {
      process.off('SIGINT', exit).off('SIGTERM', exit)
      interrupt.removeEventListener('abort', stop)
    },
  }
}

function summary(
  address: string,
  { model, device, engine, urls }: EmbedderInfo,
  options: ServeOptions,
): string {
  const { apiKeys = [], page, docs } = options.server
  const places = [page && `${address}/`, docs && `${address}/docs`].filter(Boolean)
  const rows = {
    model: `${model.servedNames.join(', ')} (${model.embeddingDim} numbers per vector, ${model.frames} frames per video)`,
    device: `${device.kind}, ${engine.backend} ${engine.version}: ${device.reason}`,
    requests: `${address}/v1/embeddings`,
    pages: places.join('  '),
    key: apiKeys.length === 0 ? 'not required' : 'Authorization: Bearer …',
    urls: typeof urls === 'string' ? urls : 'by the --url-… rules',
  }
  const lines = Object.entries(rows).filter(([, text]) => text !== '')
  const demo =
    model.variant === 'demo'
      ? '\n  This is the demo model, which knows nothing but moving coloured shapes.\n'
      : ''
  return `cosmos-embed: ready\n${lines.map(([name, text]) => `  ${name.padEnd(9)} ${text}\n`).join('')}${demo}`
}

export const command: Command = {
  name: 'serve',
  usage,
  run,
}
