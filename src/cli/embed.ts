/** The command `embed`: prints the vectors of its arguments, or their similarities. */
import { similarity } from '../base/similarity.ts'
import { createEmbedder } from '../embedder.ts'
import type { EmbedRequest } from '../request/schema.ts'
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
import { type CliInput, readInputs } from './inputs.ts'
import { table } from './table.ts'

const usage = `Usage: cosmos-embed embed FILE|URL|TEXT|-… [OPTIONS]

Embeds each argument. A file, an https URL or a pattern such as clips/*.mp4 is embedded as a video, - is a video on
standard input, and anything else is embedded as a text. An argument that looks like a path or a URL but leads nowhere is
an error, because it is most likely mistyped. Without --json, prints how each argument was read and the cosine similarity
of every pair.

  --json                 print the vectors as JSON on stdout (default: a table of similarities)
  --text                 read every argument as a text, and - as a text on standard input (default: as above)
  --video                read every argument as a video (default: as above)
  --request-type TYPE    query, bulk_text or bulk_video: send the arguments as the input of one documented request, in
                         which data URIs are media, and print its response (default: no request)
  --encoding-format F    float or base64, needs --request-type (default: float)
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
  if (values.text && values.video) throw new UsageError('--text and --video cannot be used together')
  const settings = { ...embedderOptions(values, io), frameRule: frameRuleOption(values['frame-rule']) }
  const requestType = oneOf('request-type', requestTypes, values['request-type'])
  const encodingFormat = oneOf('encoding-format', encodingFormats, values['encoding-format'])
  if (encodingFormat !== undefined && requestType === undefined) {
    throw new UsageError('--encoding-format needs --request-type')
  }

  const forced = values.text ? 'text' : values.video ? 'video' : undefined
  const inputs = requestType === undefined ? await readInputs(positionals, forced, io) : []
  await using embedder = await createEmbedder({ ...settings, signal: io.signal })
  if (requestType !== undefined) {
    const request: EmbedRequest = { request_type: requestType, input: positionals }
    if (encodingFormat !== undefined) request.encoding_format = encodingFormat
    return await sendRequest(embedder, request, io)
  }
  return await embedInputs(embedder, inputs, values.json === true, io)
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
  inputs: readonly CliInput[],
  json: boolean,
  io: Io,
): Promise<number> {
  const items = inputs.map(({ item }) => item)
  const settled = await embedder.embedMany(items, { priority: 'query', signal: io.signal })
  const embedded: Embedded[] = []
  const records: object[] = []
  for (const [index, result] of settled.entries()) {
    const { input, as } = inputs[index] as CliInput
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
  return embedded.length === inputs.length ? 0 : 1
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
  usage,
  run,
}
