/** `POST /v1/embeddings`. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { rememberParsed } from '../request/items.ts'
import type { EmbedResponse, RequestWarning, Timings } from '../types.ts'
import { type Answering, answering, receive } from './answering.ts'
import { inputTypeOf, type ParsedEmbeddings } from './parse-body.ts'
import type { Service } from './service.ts'

export function embeddings(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return answering(service, request, reply, answer)
}

async function answer(parts: Answering): Promise<FastifyReply> {
  const { service, reply, call, work } = parts
  const { embedder } = service.model
  const parsed = await receive('embeddings', parts)
  const { request, requestType, encodingFormat, items } = parsed
  rememberParsed(request, parsed)
  const inputType = items[0] && inputTypeOf(items[0])
  call.describe(requestType, { inputType, encodingFormat, inputs: items.length })
  const embed = () => embedder.embed(request, { signal: work.signal, whenFull: 'refuse' })
  const response = await inSpan(parts, parsed, embed)
  work.signal.throwIfAborted()

  const began = performance.now()
  const text = toJson(response, request.model)
  service.metrics.observeAnswer(performance.now() - began)
  const { num_videos: videos, prompt_tokens: tokens } = response.usage
  call.end({
    status: 200,
    error: undefined,
    embeddings: response.data.length,
    tokens,
    videos,
    frames: videos * service.model.info.model.frames,
  })
  return reply
    .header('server-timing', serverTiming(response.timings))
    .headers(
      response.warnings.length === 0 ? {} : { 'x-cosmos-embed-warnings': warningText(response.warnings) },
    )
    .type('application/json')
    .send(text)
}

function inSpan(
  { service: { tracer }, request: { headers } }: Answering,
  { request, requestType, encodingFormat, items }: ParsedEmbeddings,
  embed: () => Promise<EmbedResponse>,
): Promise<EmbedResponse> {
  if (!tracer) return embed()
  const about = {
    operation: 'embeddings',
    model: request.model,
    encodingFormat,
    attributes: {
      'cosmos_embed.request_type': requestType,
      ...(items[0] && { 'cosmos_embed.input_type': inputTypeOf(items[0]) }),
    },
  }
  return tracer.trace(headers, about, async (set) => {
    const response = await embed()
    set('gen_ai.usage.input_tokens', response.usage.prompt_tokens)
    set('cosmos_embed.items', response.data.length)
    for (const [stage, milliseconds] of Object.entries(response.timings)) {
      set(`cosmos_embed.${stage}_ms`, milliseconds)
    }
    return response
  })
}

/** The documented body: nothing more, so that strict clients accept it. `model` is the name that was asked for. */
function toJson({ data, usage }: EmbedResponse, model: string): string {
  const objects = data.map(({ object, index, embedding }) => ({
    object,
    index,
    embedding: typeof embedding === 'string' ? embedding : Array.from(embedding),
  }))
  return JSON.stringify({ object: 'list', data: objects, model, usage })
}

/** Milliseconds per stage, as browsers' tools show them. */
function serverTiming(timings: Timings): string {
  return Object.entries(timings)
    .map(([stage, milliseconds]) => `${stage};dur=${milliseconds.toFixed(1)}`)
    .join(', ')
}

/** JSON in ASCII. A header, since the documented body has no place for it; the first few say enough. */
function warningText(warnings: readonly RequestWarning[]): string {
  const short = warnings
    .slice(0, 8)
    .map(({ index, code, message }) => ({ index, code, message: message.slice(0, 200) }))
  return JSON.stringify(short).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
