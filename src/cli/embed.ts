import { stat } from 'node:fs/promises'

import { createEmbedder } from '../embedder.ts'
import type { EmbedRequest, ItemInput } from '../request/schema.ts'
import type { Embedder } from '../types.ts'
import {
  type Command,
  embedderOptions,
  frameRuleOption,
  frameRuleUsage,
  type Io,
  modelOptions,
  modelUsage,
  parse,
  UsageError,
} from './command.ts'
import { dot } from './search.ts'
import { table } from './table.ts'
import { videoArgument } from './video-argument.ts'

const usage = `Usage: cosmos-embed embed FILE|TEXT… [--json]

Embeds each word of the command line: a video if it is a file or an https URL, text otherwise.
Without --json, shows how similar they are to one another.

  --json                 vectors as JSON on stdout
  --request-type TYPE    query, bulk_text or bulk_video: send the words as one documented request, data URIs and all,
                         and print its response
  --encoding-format F    float or base64, with --request-type (default: float)
  --text, --video        take every word as text, or as a video
${frameRuleUsage}
${modelUsage}
`

const options = {
  ...modelOptions,
  json: { type: 'boolean' },
  text: { type: 'boolean' },
  video: { type: 'boolean' },
  'request-type': { type: 'string' },
  'encoding-format': { type: 'string' },
  'frame-rule': { type: 'string' },
} as const

const requestTypes = ['query', 'bulk_text', 'bulk_video'] as const
const encodingFormats = ['float', 'base64'] as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  if (positionals.length === 0) throw new UsageError('expected at least one FILE or TEXT')
  if (values.text && values.video) throw new UsageError('--text and --video exclude each other')
  const given = { ...embedderOptions(values, io), frameRule: frameRuleOption(values['frame-rule']) }
  const requestType = oneOf('request-type', requestTypes, values['request-type'])
  const encodingFormat = oneOf('encoding-format', encodingFormats, values['encoding-format'])
  if (encodingFormat !== undefined && requestType === undefined) {
    throw new UsageError('--encoding-format needs --request-type')
  }

  await using embedder = await createEmbedder({ ...given, signal: io.signal })
  if (requestType !== undefined) {
    const request: EmbedRequest = { request_type: requestType, input: positionals }
    if (encodingFormat !== undefined) request.encoding_format = encodingFormat
    return await sendRequest(embedder, request, io)
  }
  const inputs = await Promise.all(
    positionals.map((word) => itemOf(word, values.text ? 'text' : values.video ? 'video' : undefined)),
  )
  return await embedWords(embedder, positionals, inputs, values.json === true, io)
}

async function sendRequest(embedder: Embedder, request: EmbedRequest, io: Io): Promise<number> {
  const response = await embedder.embed(request, { signal: io.signal })
  const data = response.data.map(({ embedding, ...rest }) => ({
    ...rest,
    embedding: typeof embedding === 'string' ? embedding : Array.from(embedding),
  }))
  io.stdout.write(`${JSON.stringify({ ...response, data })}\n`)
  return 0
}

async function embedWords(
  embedder: Embedder,
  words: readonly string[],
  inputs: readonly ItemInput[],
  json: boolean,
  io: Io,
): Promise<number> {
  const settled = await embedder.embedMany(inputs, { priority: 'query', signal: io.signal })
  const embedded: { input: string; embedding: Float32Array }[] = []
  const records: object[] = []
  for (const [index, result] of settled.entries()) {
    const input = words[index] ?? ''
    if (result.status === 'fulfilled') {
      const { embedding, timings, ...rest } = result.value
      embedded.push({ input, embedding })
      records.push({ input, ...rest, timings, embedding: Array.from(embedding) })
    } else {
      const message = result.reason instanceof Error ? result.reason.message : String(result.reason)
      records.push({ input, error: message })
      io.stderr.write(`${input}: ${message}\n`)
    }
  }
  if (json) {
    io.stdout.write(`${JSON.stringify({ model: embedder.info().model.id, data: records })}\n`)
  } else if (embedded.length > 0) {
    io.stderr.write(similarities(embedded))
  }
  return embedded.length === words.length ? 0 : 1
}

function similarities(embedded: readonly { input: string; embedding: Float32Array }[]): string {
  const head = ['', 'dim', 'cosine with', ...embedded.slice(1).map((_, index) => `#${index + 2}`)]
  const rows = embedded.map(({ input, embedding }, row) => [
    `#${row + 1}`,
    embedding.length,
    input.length > 50 ? `${input.slice(0, 49)}…` : input,
    ...embedded
      .slice(1)
      .map((other, index) => (index + 1 > row ? dot(embedding, other.embedding).toFixed(3) : '')),
  ])
  return table([head, ...rows])
}

async function itemOf(word: string, kind: 'text' | 'video' | undefined): Promise<ItemInput> {
  const isVideo =
    kind === 'video' ||
    (kind === undefined &&
      (/^https?:\/\//i.test(word) || (await stat(word).catch(() => undefined))?.isFile() === true))
  return isVideo ? { video: videoArgument(word) } : { text: word }
}

function oneOf<const T extends string>(
  name: string,
  allowed: readonly T[],
  text: string | undefined,
): T | undefined {
  if (text === undefined) return undefined
  const found = allowed.find((value) => value === text)
  if (found === undefined) throw new UsageError(`--${name}: expected ${allowed.join(', ')}, found "${text}"`)
  return found
}

export const command: Command = {
  name: 'embed',
  summary: 'embed videos and texts',
  usage,
  run,
}
