/** `POST /v1/segments`: one video in, a line of JSON for each of its windows out, while they are computed. */
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addItemIndex } from '../base/item-errors.ts'
import { CosmosEmbedError, LimitError, OverloadedError } from '../errors.ts'
import type { VideoItem } from '../request/items.ts'
import type { ParsedSegments, SegmentsRequest } from '../request/wire.ts'
import type { Embedder, Segment, SegmentOptions, Video } from '../types.ts'
import { type Answering, answering, receive } from './answering.ts'
import { answerFor } from './errors.ts'
import { inputTypeOf } from './parse-body.ts'
import type { EndLine, SegmentLine } from './schemas.ts'
import { drained, limitSending } from './sending.ts'
import type { Service } from './service.ts'
import type { SetAttribute } from './tracing.ts'

export function segments(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return answering(service, request, reply, async (parts) => {
    const { embedder } = service.model
    const parsed = await receive('segments', parts)
    // Not before: a body that is slow to come keeps nothing open.
    const { maxSegmentStreams } = service.options.limits
    if (service.segmentStreams >= maxSegmentStreams) {
      throw new OverloadedError(`${maxSegmentStreams} videos are being cut into segments already`)
    }
    service.segmentStreams += 1
    try {
      return await answer(parts, parsed, embedder)
    } finally {
      service.segmentStreams -= 1
    }
  })
}

async function answer(
  parts: Answering,
  { request, item }: ParsedSegments,
  embedder: Embedder,
): Promise<FastifyReply> {
  const { service, reply, call, work } = parts
  const { model, encoding_format: encodingFormat = 'float' } = request
  const inputType = inputTypeOf(item)
  call.describe('segments', { inputType, encodingFormat, inputs: 1 })
  const options = { ...optionsOf(request), signal: work.signal, whenFull: 'refuse' } as const
  const stream = new SegmentStream(parts, request, embedder.segments(videoOf(item), options))
  const attributes = { 'cosmos_embed.input_type': inputType }
  const about = { operation: 'segments', model, encodingFormat, attributes }
  const { tracer } = service
  try {
    await (tracer ? tracer.trace(parts.request.headers, about, (set) => stream.run(set)) : stream.run())
  } catch (error) {
    // Before the first line there is a status to say it with.
    if (!stream.begun || work.abandoned) throw error
    stream.fail(error)
  }
  return reply
}

/** The lines of one answer. */
class SegmentStream {
  readonly #parts: Answering
  readonly #request: SegmentsRequest
  readonly #segments: AsyncIterableIterator<Segment>
  #sent = 0
  begun = false

  constructor(parts: Answering, request: SegmentsRequest, found: AsyncIterableIterator<Segment>) {
    this.#parts = parts
    this.#request = request
    this.#segments = found
  }

  async run(set?: SetAttribute): Promise<void> {
    const { service, call, work } = this.#parts
    const { maxSegments, requestTimeoutMs } = service.options.limits
    try {
      for await (const segment of this.#segments) {
        if (this.#sent === maxSegments) {
          throw new LimitError(
            `the video has more than maxSegments ${maxSegments} windows: ask for a part of it, or a longer stride_seconds`,
            { details: { limit: maxSegments } },
          )
        }
        await this.#send(lineOf(segment, this.#sent, this.#request))
        this.#sent += 1
        // Each line has the time that other requests have for their answer.
        work.limit(requestTimeoutMs)
      }
    } catch (error) {
      throw ofTheVideo(error)
    }
    const usage = { num_videos: 1, prompt_tokens: 0, total_tokens: 0 }
    await this.#send({ object: 'segments.end', model: this.#request.model, segments: this.#sent, usage })
    this.#end()
    set?.('cosmos_embed.items', this.#sent)
    call.end({ status: 200, error: undefined, ...this.#counts() })
  }

  /** The last line says what happened: the status has been sent. */
  fail(error: unknown): void {
    const { request, call } = this.#parts
    const { status, internal, body } = answerFor(error)
    if (internal) request.log.error({ err: error }, body.error.message)
    else request.log.info({ code: body.error.code, param: body.error.param }, 'broken off')
    call.end({ status, error: body.error.code, ...this.#counts() })
    this.#end(`${JSON.stringify(body)}\n`)
  }

  /** Resolves when the client has room for the next one: what nobody reads is not computed. */
  async #send(line: SegmentLine | EndLine): Promise<void> {
    const { service, reply, work } = this.#parts
    if (!this.begun) this.#begin()
    if (reply.raw.write(`${JSON.stringify(line)}\n`)) return
    await drained(reply.raw, work, service.options.limits.sendTimeoutMs)
  }

  #begin(): void {
    const { reply } = this.#parts
    this.begun = true
    reply.hijack()
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      'content-type': 'application/x-ndjson',
      // nginx would collect the lines.
      'x-accel-buffering': 'no',
    })
  }

  #end(last = ''): void {
    const { service, reply } = this.#parts
    limitSending(reply, service.options.limits.sendTimeoutMs)
    reply.raw.end(last)
  }

  #counts() {
    const { frames } = this.#parts.service.model.info.model
    return { embeddings: this.#sent, videos: 1, frames: this.#sent * frames }
  }
}

function videoOf({ source }: VideoItem): Video {
  return source.type === 'bytes' ? source.bytes : new URL((source as { url: string }).url)
}

function optionsOf(request: SegmentsRequest): SegmentOptions {
  const {
    window_seconds: windowSeconds,
    stride_seconds: strideSeconds,
    start,
    end,
    frame_rule: frameRule,
  } = request
  return { windowSeconds, strideSeconds, start, end, frameRule }
}

function lineOf(segment: Segment, index: number, request: SegmentsRequest): SegmentLine {
  const { start, end, embedding, warnings } = segment
  const bytes = () => Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength)
  return {
    object: 'segment',
    index,
    start,
    end,
    embedding: request.encoding_format === 'base64' ? bytes().toString('base64') : Array.from(embedding),
    ...(warnings.length > 0 && { warnings }),
  }
}

/** What is wrong with the media, or with fetching it, is said of the input. */
function ofTheVideo(error: unknown): unknown {
  const isItsFault = error instanceof CosmosEmbedError && (error.status === 422 || error.status === 502)
  return isItsFault ? addItemIndex(error, 0) : error
}
