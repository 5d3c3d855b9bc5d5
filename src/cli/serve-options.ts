/** Turns the flags of `cosmos-embed serve` into options of the embedder and of the server. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import type { ServerOptions } from '../http/server.ts'
import type { EmbedderOptions, Isolation } from '../options.ts'
import type { UrlPolicy } from '../source/url-policy.ts'
import { deviceOption, frameRuleOption, integerOption, UsageError } from './command.ts'
import { type FlagValues, isOff, readFlags } from './serve-flags.ts'

export interface ServeOptions {
  host: string | undefined
  port: number | undefined
  /** A level of pino. */
  logLevel: string
  drainMs: number
  embedder: EmbedderOptions
  server: Omit<ServerOptions, 'embedder' | 'logger'>
}

const isolations: readonly Isolation[] = ['none', 'process', 'required']
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** Levels that the NIM and pino name differently. */
const nimLogLevels: Readonly<Record<string, string>> = { default: 'info', warning: 'warn', critical: 'fatal' }

/** Reads the options from the command line and the environment. Throws UsageError. */
export function serveOptions(argv: string[], environment: NodeJS.ProcessEnv = process.env): ServeOptions {
  const values = readFlags(argv, environment)
  const text = (name: string) => values.get(name)?.[0]
  const number = (name: string, min = 1) => integerOption(name, text(name), min)
  const all = (name: string) => values.get(name) ?? []
  return {
    host: text('host'),
    port: portOption('port', number('port', 0)),
    logLevel: logLevel(text('log-level')),
    drainMs: number('drain-ms', 0) ?? 30_000,
    embedder: {
      model: text('model'),
      device: deviceOption(text('device')),
      cuda: {
        devices: gpuList(text('gpus')),
        engineCache: text('engine-cache'),
        buildEngine: values.has('no-engine-build') ? 'never' : undefined,
      },
      decode: { isolation: isolationOption(text('isolation')) },
      frameRule: frameRuleOption(text('frame-rule')),
      servedNames: all('served-model-name'),
      urls: urlPolicy(values),
      limits: {
        maxItems: number('max-items'),
        maxItemsInFlight: number('max-items-in-flight'),
        maxBytesInFlight: number('max-bytes-in-flight'),
        maxInlineBytes: number('max-inline-bytes'),
        maxMediaBytes: number('max-media-bytes'),
        maxDownloads: number('max-downloads'),
        maxDownloadsPerHost: number('max-downloads-per-host'),
        minDownloadRate: number('min-download-rate', 0),
        downloadTimeoutMs: number('download-timeout-ms'),
      },
    },
    server: {
      apiKeys: all('api-key'),
      allowedHosts: all('allowed-host'),
      inferRequestType: values.has('infer-request-type'),
      page: !values.has('no-page'),
      docs: !values.has('no-docs'),
      metrics: !values.has('no-metrics'),
      tracing: !values.has('no-tracing') && !isOff(environment.NIM_ENABLE_OTEL),
      otelMetrics: !values.has('no-otel-metrics') && !isOff(environment.NIM_ENABLE_OTEL),
      maxConnections: number('max-connections'),
      headersTimeoutMs: number('headers-timeout-ms'),
      receiveTimeoutMs: number('receive-timeout-ms'),
      limits: {
        maxBodyBytes: number('max-body-bytes'),
        maxBodyBytesInFlight: number('max-body-bytes-in-flight'),
        bodyIdleTimeoutMs: number('body-idle-timeout-ms'),
        requestTimeoutMs: number('request-timeout-ms'),
        sendTimeoutMs: number('send-timeout-ms'),
        maxSegments: number('max-segments'),
        maxSegmentStreams: number('max-segment-streams'),
      },
    },
  }
}

function portOption(name: string, port: number | undefined): number | undefined {
  if (port === undefined || port <= 65_535) return port
  throw new UsageError(`--${name}: expected a number up to 65535, found "${port}"`)
}

function isolationOption(text = 'process'): Isolation {
  const isolation = isolations.find((one) => one === text)
  if (isolation) return isolation
  throw new UsageError(`--isolation: expected one of ${isolations.join(', ')}, found "${text}"`)
}

function gpuList(text: string | undefined): 'all' | number[] | undefined {
  if (text === undefined || text === 'all') return text
  const numbers = text.split(',').map((part) => part.trim())
  if (numbers.every((part) => /^\d{1,4}$/.test(part))) return numbers.map(Number)
  throw new UsageError(`--gpus: expected numbers separated by commas, or all, found "${text}"`)
}

function logLevel(text = 'info'): string {
  const name = text.toLowerCase()
  const level = nimLogLevels[name] ?? name
  if (logLevels.includes(level)) return level
  throw new UsageError(`--log-level: expected one of ${logLevels.join(', ')}, found "${text}"`)
}

function urlPolicy(values: FlagValues): UrlPolicy {
  const [policy = 'public'] = values.get('urls') ?? []
  if (policy !== 'off' && policy !== 'public') {
    throw new UsageError(`--urls: expected off or public, found "${policy}"`)
  }
  const detailed = [...values.keys()].filter((name) => name.startsWith('url-'))
  if (detailed.length === 0) return policy
  if (policy === 'off') throw new UsageError(`--${detailed[0]} has no effect with --urls off`)
  return {
    allow: values.get('url-host'),
    ports: values
      .get('url-port')
      ?.flatMap((text) => portOption('url-port', integerOption('url-port', text, 1)) ?? []),
    http: values.get('url-http'),
    private: values.get('url-private'),
    ca: values.get('url-ca')?.map(readCertificate),
    maxRedirects: integerOption('url-redirects', values.get('url-redirects')?.[0], 0),
  }
}

function readCertificate(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`--url-ca: ${error instanceof Error ? error.message : String(error)}`)
  }
}
