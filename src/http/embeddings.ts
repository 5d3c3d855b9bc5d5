/** `POST /v1/embeddings`. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EmbedResponse, RequestWarning, Timings } from '../types.ts'
import { answerFor, HttpError } from './errors.ts'
import type { Call } from './metrics/service-metrics.ts'
import type { ParsedBody } from './parse-body.ts'
import type { Service } from './service.ts'
import type { Work } from './work.ts'

export async function embeddings(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const call = service.metrics.begin()
  return service.work(reply.raw, async (work) => {
    try {
      return await answer(service, request, reply, { call, work })
    } catch (error) {
      if (work.abandoned) {
        call.end({ status: 499, error: 'cancelled' })
        // For the log, which is all that is left.
        return reply.code(499).hijack()
      }
      const { status, body } = answerFor(error)
      call.end({ status, error: body.error.code })
      throw error
    }
  })
}

async function answer(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
  { call, work }: { call: Call; work: Work },
): Promise<FastifyReply> {
  const { embedder } = service.model
  refuseEncoded(request)
  service.meter.checkHeaders(request.raw)
  const body = await receive(service, request, work)
  const inputs = Array.isArray(body.request.input) ? body.request.input.length : 1
  call.describe(body.requestType, {
    inputType: body.inputType,
    encodingFormat: body.request.encoding_format ?? 'float',
    inputs,
  })
  const embed = () => embedder.embed(body.request, { signal: work.signal, whenFull: 'refuse' })
  const response = await (service.tracer?.trace(request.headers, body, embed) ?? embed())
  work.signal.throwIfAborted()

  const began = performance.now()
  const text = toJson(response, body.request.model)
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

/** Compressed bytes have no limit that can be told from outside. */
function refuseEncoded({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return
  throw new HttpError('unsupported_media_type', 'send the body without content-encoding')
}

async function receive(service: Service, request: FastifyRequest, work: Work): Promise<ParsedBody> {
  const body = await service.meter.read(request.raw, work.signal)
  work.limit(service.options.limits.requestTimeoutMs)
  try {
    return await service.parser.parse(body, service.rules(), work.signal)
  } finally {
    // From here on the embedder counts what is held.
    body.release()
  }
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
