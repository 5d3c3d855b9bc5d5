import { createEmbedder } from '../embedder.ts'
import type { EmbedRequest } from '../request/schema.ts'
import { similarity } from '../base/similarity.ts'
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
import { table } from './table.ts'
import { readInputs, type CliInput } from './inputs.ts'

const usage = `Usage: cosmos-embed embed FILE|URL|TEXT|-… [--json]

Embeds each word of the command line: a video if it is a file, an https URL or a pattern such as clips/*.mp4; a text
otherwise; - is a video on standard input. A word that looks like a path or a URL and leads nowhere is refused, since
the vector of its letters would help nobody. Without --json, shows what each word was taken for and how similar they
are to one another.

  --json                 vectors as JSON on stdout
  --request-type TYPE    query, bulk_text or bulk_video: send the words as one documented request, data URIs and all,
                         and print its response
  --encoding-format F    float or base64, with --request-type (default: float)
  --text                 take every word as the text that it is, and - as a text on standard input
  --video                take every word as a video
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

  const forced = values.text ? 'text' : values.video ? 'video' : undefined
  const words = requestType === undefined ? await readInputs(positionals, forced, io) : []
  await using embedder = await createEmbedder({ ...given, signal: io.signal })
  if (requestType !== undefined) {
    const request: EmbedRequest = { request_type: requestType, input: positionals }
    if (encodingFormat !== undefined) request.encoding_format = encodingFormat
    return await sendRequest(embedder, request, io)
  }
  return await embedInputs(embedder, words, values.json === true, io)
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

async function embedInputs(
  embedder: Embedder,
  words: readonly CliInput[],
  json: boolean,
  io: Io,
): Promise<number> {
  const items = words.map(({ item }) => item)
  const settled = await embedder.embedMany(items, { priority: 'query', signal: io.signal })
  const embedded: Embedded[] = []
  const records: object[] = []
  for (const [index, result] of settled.entries()) {
    const { input, as } = words[index] as CliInput
    if (result.status === 'fulfilled') {
      const { embedding, timings, ...rest } = result.value
      embedded.push({ input, as, embedding })
      records.push({ input, ...rest, timings, embedding: Array.from(embedding) })
    } else {
      const { code, message } = result.reason
      records.push({ input, error: message, code })
      io.stderr.write(`${input}: ${message}\n`)
    }
  }
  if (json) {
    io.stdout.write(`${JSON.stringify({ model: embedder.info().model.id, data: records })}\n`)
  } else if (embedded.length > 0) {
    io.stdout.write(similarities(embedded))
  }
  return embedded.length === words.length ? 0 : 1
}

interface Embedded extends Pick<CliInput, 'input' | 'as'> {
  embedding: Float32Array
}

function similarities(embedded: readonly Embedded[]): string {
  const head = ['', 'taken as', 'dim', 'cosine with', ...embedded.slice(1).map((_, index) => `#${index + 2}`)]
  const rows = embedded.map(({ input, as, embedding }, row) => [
    `#${row + 1}`,
    as,
    embedding.length,
    input.length > 50 ? `${input.slice(0, 49)}…` : input,
    ...embedded
      .slice(1)
      .map((other, index) => (index + 1 > row ? similarity(embedding, other.embedding).toFixed(3) : '')),
  ])
  return table([head, ...rows])
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
