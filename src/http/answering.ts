/** What the routes that embed have in common: the way from a request's first byte to its body, and to its end. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { answerFor, HttpError } from './errors.ts'
import type { Call } from './metrics/service-metrics.ts'
import type { Bodies, BodyKind } from './parse-body.ts'
import type { Service } from './service.ts'
import type { Work } from './work.ts'

export interface Answering {
  service: Service
  request: FastifyRequest
  reply: FastifyReply
  call: Call
  work: Work
}

/** Counts the call, and cancels it when nobody waits for its answer any more. */
export function answering(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
  answer: (answering: Answering) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const call = service.metrics.begin()
  return service.work(reply.raw, async (work) => {
    try {
      return await answer({ service, request, reply, call, work })
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

/** The checked body. What the headers already show to be wrong is refused before a byte of it is read. */
export async function receive<Kind extends BodyKind>(
  kind: Kind,
  { service, request, work }: Answering,
): Promise<Bodies[Kind]> {
  refuseEncoded(request)
  service.meter.checkHeaders(request.raw)
  const body = await service.meter.read(request.raw, work.signal)
  work.limit(service.options.limits.requestTimeoutMs)
  try {
    return await service.parser.parse(kind, body, service.rules(), work.signal)
  } finally {
    // From here on the embedder counts what is held.
    body.release()
  }
}

/** Compressed bytes have no limit that can be told from outside. */
function refuseEncoded({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  if (encoding === '' || encoding === 'identity') return
  throw new HttpError('unsupported_media_type', 'send the body without content-encoding')
}
