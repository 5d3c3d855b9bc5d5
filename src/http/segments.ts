/** Handles `POST /v1/segments`: sends one line of JSON for each segment of a video, as soon as it is computed. */
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addItemIndex } from '../base/item-errors.ts'
import { CosmosEmbedError, LimitError, OverloadedError } from '../errors.ts'
import type { VideoItem } from '../request/items.ts'
import type { ParsedSegments, SegmentsRequest } from '../request/wire.ts'
import type { Embedder, Segment, SegmentOptions, Video } from '../types.ts'
import { toErrorResponse } from './errors.ts'
import { type HandlerContext, receiveBody, runHandler } from './handler.ts'
import { inputTypeOf } from './parse-body.ts'
import type { EndLine, SegmentLine } from './schemas.ts'
import { setSendTimeout, waitForDrain } from './send-timeout.ts'
import type { Service } from './service.ts'
import type { SetAttribute } from './tracing.ts'

export function segments(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return runHandler(service, request, reply, async (context) => {
    const { embedder } = service.model
    const parsed = await receiveBody('segments', context)
    // Counted only now: while a slow body arrives, no video is open.
    const { maxSegmentStreams } = service.options.limits
    if (service.segmentStreams >= maxSegmentStreams) {
      throw new OverloadedError(`${maxSegmentStreams} responses with segments are already being computed`)
    }
    service.segmentStreams += 1
    try {
      return await respond(context, parsed, embedder)
    } finally {
      service.segmentStreams -= 1
    }
  })
}

async function respond(
  context: HandlerContext,
  { request, item }: ParsedSegments,
  embedder: Embedder,
): Promise<FastifyReply> {
  const { service, reply, recorder, cancellation } = context
  const { model, encoding_format: encodingFormat = 'float' } = request
  const inputType = inputTypeOf(item)
  recorder.describe('segments', { inputType, encodingFormat, inputs: 1 })
  const options = { ...optionsOf(request), signal: cancellation.signal, whenFull: 'refuse' } as const
  const stream = new SegmentStream(context, request, embedder.segments(videoOf(item), options))
  const attributes = { 'cosmos_embed.input_type': inputType }
  const facts = { operation: 'segments', model, encodingFormat, attributes }
  const { tracer } = service
  try {
    await (tracer ? tracer.trace(context.request.headers, facts, (set) => stream.run(set)) : stream.run())
  } catch (error) {
    // Until the first line is sent, an error can still have its own status.
    if (!stream.started || cancellation.clientGone) throw error
    stream.fail(error)
  }
  return reply
}

/** Writes the lines of one response. */
class SegmentStream {
  readonly #context: HandlerContext
  readonly #request: SegmentsRequest
  readonly #segments: AsyncIterableIterator<Segment>
  #sent = 0
  /** Whether the status and the headers have been sent. */
  started = false

  constructor(context: HandlerContext, request: SegmentsRequest, segments: AsyncIterableIterator<Segment>) {
    this.#context = context
    this.#request = request
    this.#segments = segments
  }

  async run(set?: SetAttribute): Promise<void> {
    const { service, recorder, cancellation } = this.#context
    const { maxSegments, requestTimeoutMs } = service.options.limits
    try {
      for await (const segment of this.#segments) {
        if (this.#sent === maxSegments) {
          throw new LimitError(
            `the video has more than maxSegments ${maxSegments} segments: ask for a part of it, or for longer ones`,
            { details: { limit: maxSegments } },
          )
        }
        await this.#send(lineOf(segment, this.#sent, this.#request))
        this.#sent += 1
        // The time limit of a request applies to each line.
        cancellation.setDeadline(requestTimeoutMs)
      }
    } catch (error) {
      throw withInputIndex(error)
    }
    const usage = { num_videos: 1, prompt_tokens: 0, total_tokens: 0 }
    await this.#send({ object: 'segments.end', model: this.#request.model, segments: this.#sent, usage })
    this.#end()
    set?.('cosmos_embed.items', this.#sent)
    recorder.end({ status: 200, error: undefined, ...this.#counts() })
  }

  /** Sends the error as the last line, since the status has already been sent. */
  fail(error: unknown): void {
    const { request, recorder } = this.#context
    const { status, internal, body } = toErrorResponse(error)
    if (internal) request.log.error({ err: error }, body.error.message)
    else request.log.info({ code: body.error.code, param: body.error.param }, 'broken off')
    recorder.end({ status, error: body.error.code, ...this.#counts() })
    this.#end(`${JSON.stringify(body)}\n`)
  }

  /** Resolves when the client can take the next line: segments that nobody reads are not computed. */
  async #send(line: SegmentLine | EndLine): Promise<void> {
    const { service, reply, cancellation } = this.#context
    if (!this.started) this.#start()
    if (reply.raw.write(`${JSON.stringify(line)}\n`)) return
    await waitForDrain(reply.raw, cancellation, service.options.limits.sendTimeoutMs)
  }

  #start(): void {
    const { reply } = this.#context
    this.started = true
    reply.hijack()
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      'content-type': 'application/x-ndjson',
      // Keeps nginx from buffering the lines.
      'x-accel-buffering': 'no',
    })
  }

  #end(lastLine = ''): void {
    const { service, reply } = this.#context
    setSendTimeout(reply, service.options.limits.sendTimeoutMs)
    reply.raw.end(lastLine)
  }

  #counts() {
    const { frames } = this.#context.service.model.info.model
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
    at,
    shots,
    start,
    end,
    frame_rule: frameRule,
  } = request
  const range = { start, end, frameRule }
  if (at) return { ...range, at }
  if (windowSeconds !== undefined) return { ...range, windowSeconds, strideSeconds }
  const { threshold, min_seconds: minSeconds } = shots === true ? {} : (shots ?? {})
  return { ...range, shots: { threshold, minSeconds } }
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

/** Errors of the media or its download name the one input, as those of `POST /v1/embeddings` do. */
function withInputIndex(error: unknown): unknown {
  const isOfInput = error instanceof CosmosEmbedError && (error.status === 422 || error.status === 502)
  return isOfInput ? addItemIndex(error, 0) : error
}
