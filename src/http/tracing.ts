/** Spans in OpenTelemetry's conventions for generative AI. Needs `@opentelemetry/api` only; the host installs an SDK. */
import type { IncomingHttpHeaders } from 'node:http'

/** Describes the request of a span. */
export interface SpanFacts {
  operation: string
  model: string
  encodingFormat: string
  attributes: Record<string, string>
}

export type SetAttribute = (name: string, value: string | number) => void

export interface Tracer {
  /**
   * Runs `task` in a span. Its parent is the active span, such as one of an HTTP instrumentation, which has continued the
   * caller's trace. Without an active span, this span continues the trace itself.
   */
  trace<T>(
    headers: IncomingHttpHeaders,
    facts: SpanFacts,
    task: (set: SetAttribute) => Promise<T>,
  ): Promise<T>
}

/** Undefined when `@opentelemetry/api` is not installed. */
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
      const hasParent = trace.getSpan(active) !== undefined
      const parent = hasParent ? active : propagation.extract(active, headers)
      const options = {
        kind: hasParent ? SpanKind.INTERNAL : SpanKind.SERVER,
        attributes: {
          'gen_ai.provider.name': 'cosmos-embed',
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
