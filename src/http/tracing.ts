/** Spans, by the conventions for generative AI, through `@opentelemetry/api` and nothing else: the host brings the SDK. */
import type { IncomingHttpHeaders } from 'node:http'
import type { EmbedResponse } from '../types.ts'
import type { ParsedBody } from './parse-body.ts'

export interface Tracer {
  /** Runs `embed` in a span that continues the caller's trace. */
  trace(
    headers: IncomingHttpHeaders,
    body: ParsedBody,
    embed: () => Promise<EmbedResponse>,
  ): Promise<EmbedResponse>
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
    trace: (headers, { request, requestType, inputType }, embed) => {
      const { model, encoding_format } = request
      const options = {
        kind: SpanKind.SERVER,
        attributes: {
          'gen_ai.operation.name': 'embeddings',
          'gen_ai.request.model': model,
          'gen_ai.request.encoding_formats': [encoding_format ?? 'float'],
          'cosmos_embed.request_type': requestType,
          'cosmos_embed.input_type': inputType,
        },
      }
      const parent = propagation.extract(context.active(), headers)
      return tracer.startActiveSpan(`embeddings ${model}`, options, parent, async (span) => {
        try {
          const response = await embed()
          span.setAttribute('gen_ai.usage.input_tokens', response.usage.prompt_tokens)
          span.setAttribute('cosmos_embed.items', response.data.length)
          for (const [stage, milliseconds] of Object.entries(response.timings)) {
            span.setAttribute(`cosmos_embed.${stage}_ms`, milliseconds)
          }
          return response
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
