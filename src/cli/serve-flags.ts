/** The flags of `cosmos-embed serve`: one table for the command line, the environment and the help. */
import process from 'node:process'
import { parse, UsageError } from './command.ts'

interface Flag {
  /** What stands for the value in the help; none for a switch. */
  value?: string
  help: string
  repeatable?: true
  /** A further environment variable, of the NIM, that means the same. */
  nim?: string
}

const bytes = 'BYTES'
const ms = 'MS'
const count = 'N'

const flags: Readonly<Record<string, Flag>> = {
  model: { value: 'DIR', help: 'model bundle (default: the embedded demo model)' },
  device: { value: 'NAME', help: 'auto, cpu or cuda (default: auto)' },
  gpus: { value: 'LIST', help: 'numbers of GPUs with commas, or all (default: 0)' },
  'engine-cache': { value: 'DIR', help: 'TensorRT engines are here, besides those of the bundle' },
  'no-engine-build': { help: 'refuse to start when no TensorRT engine fits' },
  'frame-rule': { value: 'RULE', help: 'frames of a video: card, curator or rounded (default: card)' },
  'served-model-name': {
    value: 'NAME',
    help: 'a further name of the model, e.g. nvidia/cosmos-embed1',
    repeatable: true,
  },
  host: { value: 'ADDRESS', help: 'where to listen (default: 127.0.0.1)' },
  'allowed-host': {
    value: 'NAME',
    help: 'a further name that the server may be called by, *.suffix or * (default: on loopback none, else any)',
    repeatable: true,
  },
  port: { value: 'N', help: '0 takes a free one (default: 8000)', nim: 'NIM_HTTP_API_PORT' },
  'log-level': {
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error, fatal or silent (default: info)',
    nim: 'NIM_LOG_LEVEL',
  },
  'api-key': { value: 'KEY', help: 'bearer key to ask for; better in the environment', repeatable: true },
  'infer-request-type': {
    help: "take requests of OpenAI's clients that have no request_type: one input is a query, several are bulk",
  },
  'no-page': { help: 'without the page at /' },
  'no-docs': { help: 'without /docs' },
  'no-metrics': { help: 'without the routes for metrics' },
  'no-tracing': { help: 'without OpenTelemetry spans' },
  urls: { value: 'POLICY', help: 'which URLs are fetched: off or public (default: public)' },
  'url-host': { value: 'HOST', help: 'fetch from this host only; *.suffix is allowed', repeatable: true },
  'url-port': { value: count, help: 'fetch from this port too, besides 443', repeatable: true },
  'url-http': { value: 'ORIGIN', help: 'allow plain http to this origin', repeatable: true },
  'url-private': { value: 'ORIGIN', help: 'allow this origin to have a private address', repeatable: true },
  'url-ca': { value: 'FILE', help: 'trust this authority too (PEM)', repeatable: true },
  'url-redirects': { value: count, help: 'redirects that are followed, 0 to 3 (default: 0)' },
  'max-body-bytes': { value: bytes, help: 'of a request (default: 128 MiB)' },
  'max-body-bytes-in-flight': {
    value: bytes,
    help: 'of requests that are received or parsed (default: 512 MiB)',
  },
  'max-items': { value: count, help: 'inputs of a request (default: 64)' },
  'max-items-in-flight': { value: count, help: 'inputs admitted at one time (default: 512)' },
  'max-bytes-in-flight': { value: bytes, help: 'of media admitted at one time (default: 1 GiB)' },
  'max-inline-bytes': { value: bytes, help: 'of one base64 input, decoded (default: 32 MiB)' },
  'max-media-bytes': { value: bytes, help: 'of one downloaded input (default: 96 MiB)' },
  'max-downloads': { value: count, help: 'at one time (default: 16)' },
  'max-downloads-per-host': { value: count, help: 'at one time from one host (default: 8)' },
  'min-download-rate': { value: bytes, help: 'a second; 0 takes any (default: 32768)' },
  'max-segments': { value: count, help: 'of one answer of /v1/segments (default: 10000)' },
  'max-segment-streams': { value: count, help: 'such answers at one time (default: 8)' },
  'max-connections': { value: count, help: 'sockets at one time (default: 1024)' },
  'headers-timeout-ms': { value: ms, help: 'for the headers of a request (default: 20000)' },
  'receive-timeout-ms': { value: ms, help: 'for a whole request to arrive (default: 120000)' },
  'body-idle-timeout-ms': { value: ms, help: 'between two pieces of a request (default: 15000)' },
  'request-timeout-ms': { value: ms, help: 'from the whole request to its answer (default: 300000)' },
  'send-timeout-ms': { value: ms, help: 'without progress while an answer is read (default: 30000)' },
  'download-timeout-ms': { value: ms, help: 'for one download (default: 300000)' },
  'drain-ms': { value: ms, help: 'for running requests when the server stops (default: 30000)' },
}

/** Texts by flag: from the command line, else from the environment. A switch that is on is `['true']`. */
export type FlagValues = ReadonlyMap<string, readonly string[]>

export const environmentName = (flag: string): string =>
  `COSMOS_EMBED_${flag.toUpperCase().replace(/-/g, '_')}`

/** Throws UsageError. */
export function readFlags(argv: string[], environment: NodeJS.ProcessEnv = process.env): FlagValues {
  const entries = Object.entries(flags)
  const { values, positionals } = parse(
    argv,
    Object.fromEntries(
      entries.map(([name, { value }]) => [name, { type: value ? 'string' : 'boolean', multiple: true }]),
    ) as Record<string, { type: 'string'; multiple: true }>,
  )
  if (positionals.length > 0) throw new UsageError(`unexpected "${positionals[0]}"`)
  const found = new Map<string, readonly string[]>()
  for (const [name, flag] of entries) {
    const given = values[name]?.map(String) ?? fromEnvironment(name, flag, environment)
    if (given === undefined) continue
    if (given.length > 1 && !flag.repeatable) throw new UsageError(`--${name} is given ${given.length} times`)
    found.set(name, given)
  }
  return found
}

function fromEnvironment(
  name: string,
  { value, repeatable, nim }: Flag,
  environment: NodeJS.ProcessEnv,
): string[] | undefined {
  const text = environment[environmentName(name)] ?? (nim === undefined ? undefined : environment[nim])
  if (text === undefined || text === '') return undefined
  if (value === undefined) return isOff(text) ? undefined : ['true']
  return repeatable ? text.split(',').map((part) => part.trim()) : [text]
}

/** How environment variables say no. */
export function isOff(text: string | undefined): boolean {
  return text !== undefined && /^(0|false|no|off)$/i.test(text)
}

export function flagHelp(): string {
  const lines = Object.entries(flags).map(([name, { value, help, repeatable, nim }]) => {
    const left = `  --${name}${value === undefined ? '' : ` ${value}`}`
    const notes = [repeatable && 'repeatable', nim].filter(Boolean).join('; ')
    return `${left.padEnd(36)} ${help}${notes === '' ? '' : ` [${notes}]`}\n`
  })
  return lines.join('')
}
