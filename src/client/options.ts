/** Checks the options of a client and of its calls, by hand: the client must not bring a dependency into a browser. */
import { InvalidArgumentError } from '../errors.ts'
import { isSignal } from '../source/type-guards.ts'
import type { EmbedStreamOptions } from '../types.ts'
import type { ClientOptions } from './types.ts'

export interface ResolvedClient {
  /** Without a trailing slash and without `/v1`. */
  base: string
  headers: Readonly<Record<string, string>>
  model: string | undefined
  fetch: typeof fetch
  batchSize: number
  maxParallel: number
  maxRetries: number
  timeoutMs: number
  maxInlineBytes: number
}

/** Throws InvalidArgumentError. */
export function resolveClient(options: ClientOptions): ResolvedClient {
  const known = 'url apiKey model headers fetch batchSize maxParallel maxRetries timeoutMs maxInlineBytes'
  const checkedOptions: ClientOptions = checkFieldNames(options, known)
  const { fetch: ownFetch } = checkedOptions
  if (ownFetch !== undefined && typeof ownFetch !== 'function') throw invalid('fetch', 'must be a function')
  if (ownFetch === undefined && typeof globalThis.fetch !== 'function') {
    throw invalid('fetch', 'is required here: this runtime has no fetch of its own')
  }
  const apiKey = optionalText(checkedOptions.apiKey, 'apiKey')
  return {
    base: baseOf(checkedOptions.url),
    headers: {
      ...headersOf(checkedOptions.headers),
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    },
    model: optionalText(checkedOptions.model, 'model'),
    // Called as a plain function: browsers reject `fetch` called as a method of anything but the window.
    fetch: (input, init) => (ownFetch ?? globalThis.fetch)(input, init),
    batchSize: integer(checkedOptions.batchSize ?? 64, 'batchSize', 1, 64),
    maxParallel: integer(checkedOptions.maxParallel ?? 4, 'maxParallel', 1, 1024),
    maxRetries: integer(checkedOptions.maxRetries ?? 2, 'maxRetries', 0, 100),
    timeoutMs: integer(checkedOptions.timeoutMs ?? 600_000, 'timeoutMs', 1, 2 ** 31 - 1),
    maxInlineBytes: integer(checkedOptions.maxInlineBytes ?? 32 * 1024 * 1024, 'maxInlineBytes', 1, 2 ** 30),
  }
}

const inProcessOptions = ['start', 'end', 'frameRule', 'frameTolerance'] as const

/** Throws InvalidArgumentError. */
export function checkCall(
  options: EmbedStreamOptions | undefined,
  known = 'signal whenFull priority',
): EmbedStreamOptions {
  for (const name of inProcessOptions) {
    if ((options as Record<string, unknown> | undefined)?.[name] !== undefined) {
      throw invalid(name, inProcessOnly)
    }
  }
  const checkedOptions: EmbedStreamOptions = checkFieldNames(
    options ?? {},
    `${known} ${inProcessOptions.join(' ')}`,
  )
  if (checkedOptions.signal !== undefined && !isSignal(checkedOptions.signal))
    throw invalid('signal', 'must be an AbortSignal')
  oneOf(checkedOptions.whenFull, 'whenFull', ['wait', 'refuse'])
  oneOf(checkedOptions.priority, 'priority', ['query', 'bulk'])
  if (checkedOptions.onProgress !== undefined && typeof checkedOptions.onProgress !== 'function') {
    throw invalid('onProgress', 'must be a function')
  }
  const { concurrency = 1, ordered = false } = checkedOptions
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw invalid('concurrency', 'must be a whole number of at least 1')
  }
  if (typeof ordered !== 'boolean') throw invalid('ordered', 'must be true or false')
  return checkedOptions
}

/** Why these options are refused: ignoring them would return the vector of another part of the video. */
export const inProcessOnly: string =
  'is not part of the HTTP interface, which embeds whole videos by the rule of its server: send a file that holds ' +
  'only that part, or embed in process'

function baseOf(url: unknown): string {
  let parsed: URL
  try {
    const { location } = globalThis as { location?: { href: string } }
    // In a page, a relative address is one of the page's own server.
    parsed = new URL(String(url), location?.href)
  } catch {
    throw invalid('url', 'must be the address of a server, such as "http://127.0.0.1:8000"')
  }
  if (!/^https?:$/.test(parsed.protocol)) throw invalid('url', 'must begin with http:// or https://')
  if (parsed.username !== '' || parsed.password !== '') {
    throw invalid('url', 'must not contain a user name or password: pass apiKey or headers')
  }
  if (parsed.search !== '' || parsed.hash !== '') throw invalid('url', 'must have no ? and no #')
  // Base URLs for OpenAI's clients end in /v1.
  const path = parsed.pathname.replace(/\/+$/, '').replace(/\/v1(\/embeddings)?$/, '')
  return `${parsed.origin}${path}`
}

function headersOf(headers: unknown): Record<string, string> {
  if (headers === undefined) return {}
  if (!isObject(headers)) throw invalid('headers', 'must be an object of texts')
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') throw invalid(`headers.${name}`, 'must be a text')
  }
  return { ...(headers as Record<string, string>) }
}

function checkFieldNames<T extends object>(options: T, known: string): T {
  if (!isObject(options)) throw new InvalidArgumentError('options: must be an object')
  const names = known.split(' ')
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new InvalidArgumentError(`options: unknown field "${name.slice(0, 60)}"`)
    }
  }
  return options
}

function oneOf(value: unknown, name: string, values: readonly string[]): void {
  if (value === undefined || values.includes(value as string)) return
  throw invalid(name, `must be ${values.map((each) => `"${each}"`).join(' or ')}`)
}

function optionalText(value: unknown, name: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw invalid(name, 'must be a text')
}

function integer(value: number, name: string, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(name, `must be a whole number from ${min} to ${max}`)
}

function invalid(name: string, what: string): InvalidArgumentError {
  return new InvalidArgumentError(`options.${name}: ${what}`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
