/** Spans, by the conventions for generative AI, through `@opentelemetry/api` and nothing else: the host brings the SDK. */
import type { IncomingHttpHeaders } from 'node:http'

/** What a span is about. */
export interface SpanFacts {
  operation: string
  model: string
  encodingFormat: string
  attributes: Record<string, string>
}

export type SetAttribute = (name: string, value: string | number) => void

export interface Tracer {
  /**
   * Runs `task` in a span. Its parent is the span that is active, such as that of an instrumentation of HTTP, which has
   * continued the caller's trace; where there is none, the span continues it.
   */
  trace<T>(
    headers: IncomingHttpHeaders,
    about: SpanFacts,
    task: (set: SetAttribute) => Promise<T>,
  ): Promise<T>
}

/** Nothing when `@opentelemetry/api` is not installed. */
export async function loadTracer(): Promise<Tracer | undefined> {
  let api: typeof import('@opentelemetry/api')
  try {
    api = await import('@opentelemetry/api')
  } catch {
    return undefined
  }
  const { context, propagation, SpanKind, SpanStatusCode, trace } = api
  const tracer = trace.getTracer('cosmos-embed')
  return {
    trace: (headers, { operation, model, encodingFormat, attributes }, task) => {
      const active = context.active()
      const isInside = trace.getSpan(active) !== undefined
      const parent = isInside ? active : propagation.extract(active, headers)
      const options = {
        kind: isInside ? SpanKind.INTERNAL : SpanKind.SERVER,
        attributes: {
          'gen_ai.operation.name': operation,
          'gen_ai.request.model': model,
          'gen_ai.request.encoding_formats': [encodingFormat],
          ...attributes,
        },
      }
      return tracer.startActiveSpan(`${operation} ${model}`, options, parent, async (span) => {
        try {
          return await task((name, value) => span.setAttribute(name, value))
        } catch (error) {
          const code = (error as { code?: unknown } | null)?.code
          span.setAttribute('error.type', typeof code === 'string' ? code : 'unknown')
          span.setStatus({ code: SpanStatusCode.ERROR })
          throw error
        } finally {
          span.end()
        }
      })
    },
  }
}
