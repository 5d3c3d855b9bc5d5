/** The commands `index` and `index status`: embed a library into an index, and describe one. */
import process from 'node:process'

import { buildIndex, type IndexOptions, resolveWindows, survey } from '../bulk/build.ts'
import { describeWindows } from '../bulk/description.ts'
import { DEFAULT_TABLE, destinationFor, kindOf, statusOf } from '../bulk/destination.ts'
import { FailureFile } from '../bulk/failures.ts'
import type { Shard } from '../bulk/shard.ts'
import { type OpenedSources, openSources } from '../bulk/sources.ts'
import { createEmbedder } from '../embedder.ts'
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
import { enqueue, SOME_FAILED } from './enqueue.ts'
import { serveMetrics } from './index-metrics.ts'
import { IndexProgress } from './index-progress.ts'

const usage = `Usage: cosmos-embed index SOURCE… --out DEST [OPTIONS]
       cosmos-embed index status DEST [--table NAME]

Embeds all videos and texts of the sources and writes their vectors to DEST. A run that was stopped or killed resumes when
it is started again, and retries what failed. "index status" prints what DEST holds.

A SOURCE is a folder (videos at any depth, links are followed), a pattern such as 'clips/**/*.mp4', a video, an https URL,
s3://bucket/prefix, a manifest, or - for lines on standard input: paths, URLs, or JSON rows.
A manifest is a .jsonl, .csv or .parquet file with the columns id, video (a path relative to the manifest's folder, a URL,
or s3://bucket/key), start and end (seconds), or text instead of video. Further columns are carried over into the index.
DEST is a folder for Parquet parts, a file that ends with .jsonl, a LanceDB folder that ends with .lance (or any as
lancedb:FOLDER), postgres://… with pgvector, or qdrant://HOST:PORT (qdrants:// for https).

  --out DEST             destination (required)
  --window S             one vector per window of S seconds (default: one vector per video)
  --stride S             seconds between the starts of two windows, needs --window (default: the length of a window)
  --shots                one vector per shot, instead of --window
  --shot-threshold X     how much a picture differs from the one before where a shot begins, needs --shots (default: 14)
  --shot-min S           seconds that a shot lasts at least, needs --shots (default: 0.5)
  --shard I/N            embed only shard I of N, counted from 0; items are divided by a hash of their id. "auto" for I
                         reads JOB_COMPLETION_INDEX (default: all items)
  --queue URL            put the items into a queue in Redis instead, redis://HOST:PORT, for "cosmos-embed worker" on any number
                         of machines; "cosmos-embed help queue" tells more (default: embed them here)
  --queue-name NAME      name of the queue (default: cosmos-embed)
  --job-items K          with --queue: items per job (default: 256)
  --max-jobs K           with --queue: wait while so many jobs wait, which bounds the memory of Redis (default: 10000)
  --attempts K           with --queue: tries of a job before it becomes a dead letter (default: 3)
  --dry-run              count the items and print the plan without embedding anything (default: off)
  --concurrency K        items in progress at one time (default: 64; with --window or --shots, decoders + 1)
  --retries R            retries of an item after a temporary failure, after 1, 2, 4… seconds (default: 3)
  --table NAME           table in PostgreSQL or LanceDB, collection in Qdrant (default: cosmos_embed)
  --part-rows R          rows after which a Parquet part, or a version in LanceDB, is written (default: 10000)
  --metrics-port PORT    serve GET /metrics for Prometheus during the run (default: off)
  --url-http ORIGIN      allow plain http to this origin; repeatable (default: https only)
  --url-private ORIGIN   allow this origin to have a private address; repeatable (default: public addresses only)
${frameRuleUsage}
  --frame-tolerance S    let frames move by up to S seconds to ones that are cheaper to decode (default: 0)
${modelUsage}

Exit code: 0 everything is in the index; 3 some items failed, which DEST/_errors.jsonl or DEST.errors.jsonl lists; 1 the run
could not continue.
`

const options = {
  ...modelOptions,
  out: { type: 'string' },
  window: { type: 'string' },
  stride: { type: 'string' },
  shots: { type: 'boolean' },
  'shot-threshold': { type: 'string' },
  'shot-min': { type: 'string' },
  shard: { type: 'string' },
  queue: { type: 'string' },
  'queue-name': { type: 'string' },
  'job-items': { type: 'string' },
  'max-jobs': { type: 'string' },
  attempts: { type: 'string' },
  'dry-run': { type: 'boolean' },
  concurrency: { type: 'string' },
  retries: { type: 'string' },
  table: { type: 'string' },
  'part-rows': { type: 'string' },
  'metrics-port': { type: 'string' },
  'url-http': { type: 'string', multiple: true },
  'url-private': { type: 'string', multiple: true },
  'frame-rule': { type: 'string' },
  'frame-tolerance': { type: 'string' },
} as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  const [first, dest] = positionals
  if (first === 'status' && values.out === undefined) {
    if (dest === undefined || positionals.length !== 2) throw new UsageError('expected: index status DEST')
    return printStatus(dest, values.table, io)
  }
  if (first === undefined) throw new UsageError('expected at least one SOURCE')
  if (values.out === undefined) throw new UsageError('--out DEST is missing')
  const shard = shardOption(values.shard)
  const windows = windowOptions(values)
  const indexOptions = {
    shard,
    windows,
    frameTolerance: numberOption('frame-tolerance', values['frame-tolerance'], 0),
    concurrency: integerOption('concurrency', values.concurrency, 1),
    retries: integerOption('retries', values.retries, 0),
    signal: io.signal,
  }
  const frameRule = frameRuleOption(values['frame-rule'])
  const { sink, failures } = destinationFor(values.out, {
    shard,
    table: values.table,
    partRows: integerOption('part-rows', values['part-rows'], 1),
  })
  const queued = {
    jobItems: integerOption('job-items', values['job-items'], 1),
    maxJobs: integerOption('max-jobs', values['max-jobs'], 1),
    attempts: integerOption('attempts', values.attempts, 1),
  }
  if (values.queue === undefined && Object.values(queued).some((value) => value !== undefined)) {
    throw new UsageError('--job-items, --max-jobs and --attempts need --queue')
  }
  await using opened = await openSources(positionals, { stdin: io.stdin, signal: io.signal })
  if (values['dry-run'])
    return await printPlan(opened, { out: values.out, table: values.table }, indexOptions, io)

  if (values.queue !== undefined) {
    const queue = { url: values.queue, name: values['queue-name'] }
    const { out, table } = values
    return await enqueue(opened, { ...indexOptions, ...queued, queue, out, table, frameRule }, failures, io)
  }
  await using embedder = await createEmbedder({
    ...embedderOptions(values, io),
    frameRule,
    urls: { http: values['url-http'], private: values['url-private'] },
    signal: io.signal,
  })
  const progress = new IndexProgress(io.stderr)
  const port = integerOption('metrics-port', values['metrics-port'], 0)
  await using metrics = port === undefined ? undefined : await serveMetrics(port, () => progress.tally)
  if (metrics) io.stderr.write(`metrics are served at http://localhost:${metrics.port}/metrics\n`)
  let failed: FailureFile | undefined
  try {
    const tally = await buildIndex(embedder, opened.sources, sink, {
      ...indexOptions,
      onStart: async () => {
        failed = await FailureFile.open(failures)
      },
      onFailure: (key, failure) => failed?.add(key, failure),
      onProgress: (now) => progress.update(now),
    })
    progress.end()
    io.stderr.write(`${nameOf(values.out, values.table)}: ${progress.summary()}\n`)
    if (tally.failed > 0) io.stderr.write(`${failures} lists what failed and why\n`)
    return tally.failed > 0 ? SOME_FAILED : 0
  } finally {
    progress.end()
    await failed?.close()
  }
}

async function printPlan(
  { sources }: OpenedSources,
  { out, table }: { out: string; table: string | undefined },
  options: Pick<IndexOptions, 'shard' | 'windows' | 'signal'>,
  io: Io,
): Promise<number> {
  const { total, bad, columns } = await survey(sources, options)
  const existing = await statusOf(out, { table })
  const carried = Object.entries(columns).map(([name, type]) => `${name} (${type})`)
  const { shard, windows } = options
  const rows: [string, string | number][] = [
    ['sources', sources.map(({ name }) => name).join(', ')],
    ...(shard ? [['shard', `${shard.index} of ${shard.count}`] as [string, string]] : []),
    ['items', total],
    ['invalid rows', bad],
    ['vectors', windows ? `one for each of: ${describeWindows(resolveWindows(windows))}` : 'one per item'],
    ['further columns', carried.join(', ') || 'none'],
    ['destination', `${nameOf(out, table)}, which ${existing ? `has ${existing.rows} vectors` : 'is new'}`],
  ]
  io.stdout.write(rows.map(([name, value]) => `${name.padEnd(22)} ${value}\n`).join(''))
  return 0
}

async function printStatus(out: string, table: string | undefined, io: Io): Promise<number> {
  const status = await statusOf(out, { table })
  if (!status) throw new UsageError(`"${nameOf(out, table)}" is not an index that cosmos-embed has written`)
  const { description, failures } = status
  const { model, frameRule, windows, version } = description
  const rows: [string, string | number][] = [
    ['vectors', status.rows],
    ['files', status.parts],
    ...(status.bytes === undefined ? [] : [['bytes', status.bytes] as [string, number]]),
    ['items not yet in a part', status.waiting],
    ['model', model.id],
    ['fingerprint', model.fingerprint],
    ['frame rule', frameRule],
    ['windows', describeWindows(windows)],
    ['created by version', version],
    ['failed in the last run', failures.length],
  ]
  io.stdout.write(rows.map(([name, value]) => `${name.padEnd(24)} ${value}\n`).join(''))
  const codes = new Map<string, number>()
  for (const { code } of failures) codes.set(code, (codes.get(code) ?? 0) + 1)
  for (const [code, count] of codes) io.stdout.write(`  ${code.padEnd(22)} ${count}\n`)
  return 0
}

/** Name of the destination for messages, without the password. */
function nameOf(out: string, table: string | undefined): string {
  const kind = kindOf(out)
  if (kind === 'parquet' || kind === 'jsonl') return out
  return `${kind === 'qdrant' ? 'collection' : 'table'} ${table ?? DEFAULT_TABLE}`
}

function windowOptions({
  window,
  stride,
  shots,
  'shot-threshold': threshold,
  'shot-min': minimum,
}: {
  window?: string | undefined
  stride?: string | undefined
  shots?: boolean | undefined
  'shot-threshold'?: string | undefined
  'shot-min'?: string | undefined
}): IndexOptions['windows'] {
  if (shots) {
    if (window !== undefined || stride !== undefined)
      throw new UsageError('--shots excludes --window and --stride')
    return {
      shots: {
        threshold: threshold === undefined ? undefined : positive('shot-threshold', threshold, 'a number'),
        minSeconds: numberOption('shot-min', minimum, 0),
      },
    }
  }
  if (threshold !== undefined) throw new UsageError('--shot-threshold needs --shots')
  if (minimum !== undefined) throw new UsageError('--shot-min needs --shots')
  if (window === undefined) {
    if (stride !== undefined) throw new UsageError('--stride needs --window')
    return undefined
  }
  const seconds = positive('window', window)
  return { seconds, stride: stride === undefined ? seconds : positive('stride', stride) }
}

function positive(name: string, text: string, what = 'seconds'): number {
  const value = numberOption(name, text, 0) ?? 0
  if (value === 0) throw new UsageError(`--${name}: expected ${what} above 0, found "${text}"`)
  return value
}

function shardOption(text: string | undefined): Shard | undefined {
  if (text === undefined) return undefined
  const [, first, last] = /^(auto|\d+)\/(\d+)$/.exec(text) ?? []
  const position = first === 'auto' ? process.env.JOB_COMPLETION_INDEX : first
  if (first === 'auto' && position === undefined) {
    throw new UsageError(
      '--shard auto/N: JOB_COMPLETION_INDEX is not set; Kubernetes sets it in an Indexed Job',
    )
  }
  const [index, count] = [Number(position), Number(last)]
  if (Number.isInteger(index) && index >= 0 && index < count) return { index, count }
  throw new UsageError(`--shard: expected I/N with I from 0 to N − 1, found "${text}"`)
}

export const command: Command = {
  name: 'index',
  summary: 'embed a library of videos into an index',
  usage,
  run,
}
