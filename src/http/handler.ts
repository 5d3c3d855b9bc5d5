/** What the embedding routes share: recording, cancellation, and the reading of the body. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Cancellation } from './cancellation.ts'
import { HttpError, toErrorResponse } from './errors.ts'
import type { RequestRecorder } from './metrics/request-record.ts'
import type { Bodies, BodyKind } from './parse-body.ts'
import type { Service } from './service.ts'

export interface HandlerContext {
  service: Service
  request: FastifyRequest
  reply: FastifyReply
  recorder: RequestRecorder
  cancellation: Cancellation
}

/** Runs `handle`, records how it ends, and cancels it when its client disconnects. */
export function runHandler(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
  handle: (context: HandlerContext) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const recorder = service.metrics.startRequest()
  return service.track(reply.raw, async (cancellation) => {
    try {
      return await handle({ service, request, reply, recorder, cancellation })
    } catch (error) {
      if (cancellation.clientGone) {
        recorder.end({ status: 499, error: 'cancelled' })
        // Nothing can be sent any more; the status is for the log.
        return reply.code(499).hijack()
      }
      const { status, body } = toErrorResponse(error)
      recorder.end({ status, error: body.error.code })
      throw error
    }
  })
}

/** Reads and validates the body. Headers alone can reject a request before any of its body is read. */
export async function receiveBody<Kind extends BodyKind>(
  kind: Kind,
  { service, request, cancellation }: HandlerContext,
): Promise<Bodies[Kind]> {
  rejectEncodedBody(request)
  service.meter.checkHeaders(request.raw)
  const body = await service.meter.read(request.raw, cancellation.signal)
  cancellation.setDeadline(service.options.limits.requestTimeoutMs)
  try {
    return await service.parser.parse(kind, body, service.rules(), cancellation.signal)
  } finally {
    // The embedder's admission counts the media from here on.
    body.release()
  }
}

/** The size limits would not hold for what a compressed body expands to. */
function rejectEncodedBody({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  if (encoding === '' || encoding === 'identity') return
  throw new HttpError('unsupported_media_type', 'send the body without content-encoding')
}
