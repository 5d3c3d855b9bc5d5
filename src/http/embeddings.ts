/** Handles `POST /v1/embeddings`. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { rememberParsed } from '../request/items.ts'
import type { EmbedResponse, RequestWarning, Timings } from '../types.ts'
import { type HandlerContext, receiveBody, runHandler } from './handler.ts'
import { inputTypeOf, type ParsedEmbeddings } from './parse-body.ts'
import type { Service } from './service.ts'
import { vectorJson } from './vector-json.ts'

export function embeddings(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return runHandler(service, request, reply, handle)
}

async function handle(context: HandlerContext): Promise<FastifyReply> {
  const { service, reply, recorder, cancellation } = context
  const { embedder } = service.model
  const parsed = await receiveBody('embeddings', context)
  const { request, requestType, encodingFormat, items } = parsed
  rememberParsed(request, parsed)
  const inputType = items[0] && inputTypeOf(items[0])
  recorder.describe(requestType, { inputType, encodingFormat, inputs: items.length })
  const embed = () => embedder.embed(request, { signal: cancellation.signal, whenFull: 'refuse' })
  const response = await inSpan(context, parsed, embed)
  cancellation.signal.throwIfAborted()

  const started = performance.now()
  const text = toJson(response, request.model)
  service.metrics.observeSerialization(performance.now() - started)
  const { num_videos: videos, prompt_tokens: tokens } = response.usage
  recorder.end({
    status: 200,
    error: undefined,
    embeddings: response.data.length,
    tokens,
    videos,
    frames: videos * service.model.info.model.frames,
  })
  reply.header('server-timing', serverTiming(response.timings))
  if (response.warnings.length > 0) reply.header('x-cosmos-embed-warnings', warningText(response.warnings))
  return reply.type('application/json').send(text)
}

function inSpan(
  { service: { tracer }, request: { headers } }: HandlerContext,
  { request, requestType, encodingFormat, items }: ParsedEmbeddings,
  embed: () => Promise<EmbedResponse>,
): Promise<EmbedResponse> {
  if (!tracer) return embed()
  const facts = {
    operation: 'embeddings',
    model: request.model,
    encodingFormat,
    attributes: {
      'cosmos_embed.request_type': requestType,
      ...(items[0] && { 'cosmos_embed.input_type': inputTypeOf(items[0]) }),
    },
  }
  return tracer.trace(headers, facts, async (set) => {
    const response = await embed()
    set('gen_ai.usage.input_tokens', response.usage.prompt_tokens)
    set('cosmos_embed.items', response.data.length)
    for (const [stage, milliseconds] of Object.entries(response.timings)) {
      set(`cosmos_embed.${stage}_ms`, milliseconds)
    }
    return response
  })
}

/** The documented fields only, so that strict clients accept the body. `model` is the name that the request used. */
function toJson({ data, usage }: EmbedResponse, model: string): string {
  const objects = data.map(
    ({ index, embedding }) => `{"object":"embedding","index":${index},"embedding":${vectorJson(embedding)}}`,
  )
  return `{"object":"list","data":[${objects.join(',')}],"model":${JSON.stringify(model)},"usage":${JSON.stringify(usage)}}`
}

/** Milliseconds per stage, in the format of the Server-Timing header. */
function serverTiming(timings: Timings): string {
  return Object.entries(timings)
    .map(([stage, milliseconds]) => `${stage};dur=${milliseconds.toFixed(1)}`)
    .join(', ')
}

/** The first warnings as ASCII JSON for a header, since the documented body has no field for them. */
function warningText(warnings: readonly RequestWarning[]): string {
  const short = warnings
    .slice(0, 8)
    .map(({ index, code, message }) => ({ index, code, message: message.slice(0, 200) }))
  return JSON.stringify(short).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
