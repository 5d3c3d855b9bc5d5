/** The flags of `cosmos-embed serve`. One table defines the command line, the environment variables and the help. */
import process from 'node:process'
import { parse, UsageError } from './command.ts'

interface Flag {
  /** Placeholder for the value in the help; absent for a switch. */
  value?: string
  help: string
  repeatable?: true
  /** The NIM's environment variable with the same meaning. */
  nim?: string
}

const bytes = 'BYTES'
const ms = 'MS'
const count = 'N'

const flags: Readonly<Record<string, Flag>> = {
  model: { value: 'DIR', help: 'model bundle (default: the demo model of this package)' },
  device: { value: 'NAME', help: 'auto, cpu or cuda (default: auto)' },
  gpus: { value: 'LIST', help: 'GPU numbers separated by commas, or all (default: 0)' },
  'engine-cache': {
    value: 'DIR',
    help: 'further folder of TensorRT plans, where new ones are stored (default: the bundle only)',
  },
  'no-engine-build': {
    help: 'fail to start if no TensorRT plan fits (default: build with --device cuda)',
  },
  'frame-rule': {
    value: 'RULE',
    help: 'how frames are sampled: card, curator or rounded (default: card)',
  },
  isolation: {
    value: 'WHERE',
    help: 'decode media in separate processes: none, process or required (default: process)',
  },
  'served-model-name': {
    value: 'NAME',
    help: "further name of the model, e.g. nvidia/cosmos-embed1 (default: the bundle's id only)",
    repeatable: true,
  },
  host: { value: 'ADDRESS', help: 'address to listen on (default: 127.0.0.1)' },
  'allowed-host': {
    value: 'NAME',
    help: 'further host name that requests may use, *.suffix or * (default: on loopback none, else any)',
    repeatable: true,
  },
  port: {
    value: 'N',
    help: 'port to listen on; 0 picks a free one (default: 8000)',
    nim: 'NIM_HTTP_API_PORT',
  },
  'log-level': {
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error, fatal or silent (default: info)',
    nim: 'NIM_LOG_LEVEL',
  },
  'api-key': {
    value: 'KEY',
    help: 'bearer key that clients must send; safer as environment variable (default: none)',
    repeatable: true,
  },
  'infer-request-type': {
    help: 'accept requests without request_type: one input is a query, several are bulk (default: off)',
  },
  'no-page': { help: 'do not serve the page at / (default: served)' },
  'no-docs': { help: 'do not serve /docs (default: served)' },
  'no-metrics': { help: 'do not serve metrics (default: served)' },
  'no-tracing': { help: 'do not record OpenTelemetry spans (default: recorded)' },
  'no-otel-metrics': { help: 'do not record OpenTelemetry metrics (default: recorded)' },
  urls: { value: 'POLICY', help: 'which URLs are fetched: off or public (default: public)' },
  'url-host': {
    value: 'HOST',
    help: 'fetch from this host only, or from *.suffix (default: any host)',
    repeatable: true,
  },
  'url-port': { value: count, help: 'also fetch from this port (default: 443 only)', repeatable: true },
  'url-http': { value: 'ORIGIN', help: 'allow plain http to this origin (default: none)', repeatable: true },
  'url-private': {
    value: 'ORIGIN',
    help: 'allow this origin to have a private address (default: none)',
    repeatable: true,
  },
  'url-ca': {
    value: 'FILE',
    help: "also trust this certificate authority, PEM (default: Node's)",
    repeatable: true,
  },
  'url-redirects': { value: count, help: 'maximum redirects of a download, 0 to 3 (default: 0)' },
  'max-body-bytes': { value: bytes, help: 'maximum size of a request body (default: 128 MiB)' },
  'max-body-bytes-in-flight': {
    value: bytes,
    help: 'maximum size of all bodies being received or parsed (default: 512 MiB)',
  },
  'max-items': { value: count, help: 'maximum inputs of a request (default: 64)' },
  'max-items-in-flight': { value: count, help: 'maximum inputs admitted at one time (default: 512)' },
  'max-bytes-in-flight': {
    value: bytes,
    help: 'maximum size of all media admitted at one time (default: 1 GiB)',
  },
  'max-inline-bytes': { value: bytes, help: 'maximum size of a base64 input, decoded (default: 32 MiB)' },
  'max-media-bytes': { value: bytes, help: 'maximum size of a downloaded input (default: 96 MiB)' },
  'max-downloads': { value: count, help: 'maximum downloads at one time (default: 16)' },
  'max-downloads-per-host': {
    value: count,
    help: 'maximum downloads at one time from one host (default: 8)',
  },
  'min-download-rate': {
    value: bytes,
    help: 'minimum bytes per second of a download; 0 for no minimum (default: 32768)',
  },
  'max-segments': { value: count, help: 'maximum segments in a response of /v1/segments (default: 10000)' },
  'max-segment-streams': {
    value: count,
    help: 'maximum responses of /v1/segments at one time (default: 8)',
  },
  'max-connections': { value: count, help: 'maximum connections at one time (default: 1024)' },
  'headers-timeout-ms': {
    value: ms,
    help: 'time limit to receive the headers of a request (default: 20000)',
  },
  'receive-timeout-ms': { value: ms, help: 'time limit to receive a whole request (default: 120000)' },
  'body-idle-timeout-ms': {
    value: ms,
    help: 'maximum pause while a request body is received (default: 15000)',
  },
  'request-timeout-ms': {
    value: ms,
    help: 'time limit from a received request to its response (default: 300000)',
  },
  'send-timeout-ms': { value: ms, help: 'maximum pause while a client reads a response (default: 30000)' },
  'download-timeout-ms': { value: ms, help: 'time limit of a download (default: 300000)' },
  'drain-ms': { value: ms, help: 'time for running requests when the server stops (default: 30000)' },
}

/** Values by flag: from the command line, or else from the environment. A switch that is on is `['true']`. */
export type FlagValues = ReadonlyMap<string, readonly string[]>

export const environmentName = (flag: string): string =>
  `COSMOS_EMBED_${flag.toUpperCase().replace(/-/g, '_')}`

/** Reads the flags from the command line, or else from the environment. Throws UsageError. */
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
    const texts = values[name]?.map(String) ?? fromEnvironment(name, flag, environment)
    if (texts === undefined) continue
    if (texts.length > 1 && !flag.repeatable) throw new UsageError(`--${name} is given ${texts.length} times`)
    found.set(name, texts)
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

/** Whether an environment variable switches something off: 0, false, no or off. */
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
