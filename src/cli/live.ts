/** The command `live`: prints the vector of every window of a stream without an end. */
import { createEmbedder } from '../embedder.ts'
import type { LiveOptions, LiveSource } from '../types.ts'
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

const usage = `Usage: cosmos-embed live URL|- [OPTIONS]

Embeds the windows of a stream without an end, MPEG-TS or fragmented MP4, as they fill: from an https URL, or - from standard
input. Prints one line of JSON per window: start, end, lagSeconds, dropped, discontinuity, warnings and embedding. Windows that
get no vector are told of on standard error. For other streams (RTSP, HLS, a camera), let ffmpeg read them:

  ffmpeg -i rtsp://camera/stream -an -c copy -f mpegts - | cosmos-embed live - --window 5

  --window SECONDS       length of a window, at least 0.1 (default: 5)
  --stride SECONDS       from the start of one window to the next, at least 0.1 (default: the length of a window)
  --drop POLICY          what to do when the embedder is slower than the stream: oldest gives up the windows that wait
                         longest, none makes the stream wait (default: oldest)
  --max-waiting N        complete windows that may wait (default: 2)
  --max-bytes N          bytes of the stream that are held (default: 67108864)
  --stall SECONDS        give up when nothing comes for so long (default: 30)
${frameRuleUsage}
${modelUsage}
`

const options = {
  ...modelOptions,
  window: { type: 'string' },
  stride: { type: 'string' },
  drop: { type: 'string' },
  'max-waiting': { type: 'string' },
  'max-bytes': { type: 'string' },
  stall: { type: 'string' },
  'frame-rule': { type: 'string' },
} as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  const [argument, ...more] = positionals
  if (argument === undefined || more.length > 0)
    throw new UsageError('expected one URL, or - for standard input')
  const source = sourceOf(argument, io)
  const given: LiveOptions = {
    windowSeconds: numberOption('window', values.window, 0.1) ?? 5,
    strideSeconds: numberOption('stride', values.stride, 0.1),
    drop: dropOption(values.drop),
    maxWaiting: integerOption('max-waiting', values['max-waiting'], 1),
    maxBytes: integerOption('max-bytes', values['max-bytes'], 65_536),
    stallSeconds: numberOption('stall', values.stall, 0.001),
    frameRule: frameRuleOption(values['frame-rule']),
    signal: io.signal,
    onDrop: ({ start, end, reason }) => {
      const why = reason === 'late' ? 'the embedder is slower than the stream' : reason.message
      io.stderr.write(`no vector from ${start} to ${end} s: ${why}\n`)
    },
  }
  await using embedder = await createEmbedder({ ...embedderOptions(values, io), signal: io.signal })
  for await (const window of embedder.live(source, given)) {
    const { start, end, lagSeconds, dropped, discontinuity, warnings, embedding } = window
    const line = {
      start,
      end,
      lagSeconds,
      dropped,
      discontinuity,
      warnings,
      embedding: Array.from(embedding),
    }
    io.stdout.write(`${JSON.stringify(line)}\n`)
  }
  return 0
}

function sourceOf(argument: string, io: Io): LiveSource {
  if (argument === '-') return io.stdin ?? process.stdin
  if (/^https?:\/\//i.test(argument) && URL.canParse(argument)) return new URL(argument)
  throw new UsageError(`expected an http(s) URL or -, found "${argument}"`)
}

function dropOption(text: string | undefined): LiveOptions['drop'] {
  if (text === undefined || text === 'oldest' || text === 'none') return text
  throw new UsageError(`--drop: expected oldest or none, found "${text}"`)
}

export const command: Command = {
  name: 'live',
  usage,
  run,
}
