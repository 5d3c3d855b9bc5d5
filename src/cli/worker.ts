/** The command `worker`: embeds the items of a queue until it is stopped. */
import process from 'node:process'
import type { IndexTally } from '../bulk/build.ts'
import { createEmbedder } from '../embedder.ts'
import { openQueue, startWorker } from '../queue/index.ts'
import {
  type Command,
  embedderOptions,
  frameRuleOption,
  frameRuleUsage,
  type Io,
  integerOption,
  modelOptions,
  modelUsage,
  numberOption,
  parse,
  UsageError,
} from './command.ts'
import { SOME_FAILED } from './enqueue.ts'
import { serveMetrics } from './index-metrics.ts'

const usage = `Usage: cosmos-embed worker --queue redis://HOST:PORT [OPTIONS]

Embeds the items that "cosmos-embed index … --queue" has put into a queue, and writes their vectors to the destination that
the producer was given. Any number of workers may run, on any number of machines, if they see the same videos, destination
and queue under the same names, and have the same model.

  --queue URL            redis://HOST:PORT, or rediss:// for TLS; also COSMOS_EMBED_QUEUE (required)
  --queue-name NAME      name of the queue (default: cosmos-embed)
  --out DEST             destination instead of the producer's, such as the same postgres://… with a password; also
                         COSMOS_EMBED_OUT (default: the producer's)
  --jobs K               jobs in progress at one time (default: 2)
  --concurrency K        items in progress at one time, in all jobs (default: 64)
  --retries R            retries of an item after a temporary failure, after 1, 2, 4… seconds, within one try of its job
                         (default: 3)
  --lock-seconds S       a job whose worker gives no sign of life for so long goes to another one (default: 60)
  --exit-when-empty      end when the queue has no job left, instead of waiting for more (default: off)
  --metrics-port PORT    serve GET /metrics for Prometheus (default: off)
  --url-http ORIGIN      allow plain http to this origin; repeatable (default: https only)
  --url-private ORIGIN   allow this origin to have a private address; repeatable (default: public addresses only)
${frameRuleUsage}
${modelUsage}

SIGTERM and Ctrl-C finish the items in progress, give the rest of their jobs back to the queue, and exit with 0; a second one
exits at once. Exit code: 0 stopped, or the queue is empty; 3 the queue is empty but for dead letters; 1 the worker cannot go
on, such as after the loss of a GPU: its jobs are in the queue again, and a supervisor should start a new worker.
`

const options = {
  ...modelOptions,
  queue: { type: 'string' },
  'queue-name': { type: 'string' },
  out: { type: 'string' },
  jobs: { type: 'string' },
  concurrency: { type: 'string' },
  retries: { type: 'string' },
  'lock-seconds': { type: 'string' },
  'exit-when-empty': { type: 'boolean' },
  'metrics-port': { type: 'string' },
  'url-http': { type: 'string', multiple: true },
  'url-private': { type: 'string', multiple: true },
  'frame-rule': { type: 'string' },
} as const

const LINE_EVERY_MS = 10_000
const OVERDUE_MS = 5000

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  if (positionals.length > 0) throw new UsageError(`expected no argument, found "${positionals[0]}"`)
  const queue = queueAddress(values)
  const workerOptions = {
    queue,
    out: values.out ?? process.env.COSMOS_EMBED_OUT,
    jobs: integerOption('jobs', values.jobs, 1),
    concurrency: integerOption('concurrency', values.concurrency, 1),
    retries: integerOption('retries', values.retries, 0),
    lockSeconds: numberOption('lock-seconds', values['lock-seconds'], 1),
    exitWhenEmpty: values['exit-when-empty'],
  }
  const port = integerOption('metrics-port', values['metrics-port'], 0)
  await using embedder = await createEmbedder({
    ...embedderOptions(values, io),
    frameRule: frameRuleOption(values['frame-rule']),
    urls: { http: values['url-http'], private: values['url-private'] },
    signal: io.signal,
  })
  let tally: IndexTally | undefined
  await using metrics = port === undefined ? undefined : await serveMetrics(port, () => tally)
  if (metrics) io.stderr.write(`metrics are served at http://localhost:${metrics.port}/metrics\n`)
  const worker = await startWorker(embedder, {
    ...workerOptions,
    onProgress: (now) => {
      tally = now
    },
    onFailure: (key, { code, message }) => void io.stderr.write(`${key}: ${message} [${code}]\n`),
    onWarning: (message) => io.stderr.write(`${message}\n`),
  })
  io.stderr.write(`waiting for jobs, ${embedder.info().device.kind}\n`)
  const stop = () => {
    io.stderr.write('stopping: the items in progress are finished\n')
    process.once('SIGINT', exitNow).once('SIGTERM', exitNow)
    worker.stop().catch(() => {})
  }
  let shown = ''
  const timer = setInterval(() => {
    const line = lineOf(tally)
    if (line !== shown) io.stderr.write(`${line}\n`)
    shown = line
  }, LINE_EVERY_MS)
  io.signal.addEventListener('abort', stop)
  if (io.signal.aborted) stop()
  try {
    await worker.finished
  } finally {
    clearInterval(timer)
    io.signal.removeEventListener('abort', stop)
    process.off('SIGINT', exitNow).off('SIGTERM', exitNow)
    io.stderr.write(`${lineOf(tally)}\n`)
    // If Redis is away, BullMQ would keep the process alive to look for it.
    setTimeout(() => process.exit(), OVERDUE_MS).unref()
  }
  if (!values['exit-when-empty'] || io.signal.aborted) return 0
  await using left = await openQueue(queue)
  return (await left.status()).deadJobs > 0 ? SOME_FAILED : 0
}

/** The queue of `--queue` and `--queue-name`, or of the environment. */
export function queueAddress(values: { queue?: string | undefined; 'queue-name'?: string | undefined }): {
  url: string
  name?: string | undefined
} {
  const url = values.queue ?? process.env.COSMOS_EMBED_QUEUE
  if (url === undefined) throw new UsageError('--queue redis://HOST:PORT is missing')
  return { url, name: values['queue-name'] ?? process.env.COSMOS_EMBED_QUEUE_NAME }
}

function exitNow(): void {
  process.exit(1)
}

function lineOf(tally: IndexTally | undefined): string {
  if (!tally) return 'no item yet'
  const { embedded, skipped, failed, bytes } = tally
  return `${embedded} embedded, ${skipped} already in the index, ${failed} failed, ${(bytes / 2 ** 20).toFixed(1)} MiB read`
}

export const command: Command = {
  name: 'worker',
  usage,
  run,
}
