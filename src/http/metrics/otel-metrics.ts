/** The metrics of a server through `@opentelemetry/api`, beside those for Prometheus. The host installs an SDK. */
import type { Meter } from '@opentelemetry/api'
import { VERSION } from '../../base/version.ts'
import type { RequestEvent } from '../../event-types.ts'
import { meterEmbedder, secondsBounds } from '../../opentelemetry/meter-embedder.ts'
import type { Embedder } from '../../types.ts'

export interface OtelMetrics {
  /** Adds the metrics of the embedder. The returned function ends them. */
  attach(embedder: Embedder): () => void
  /** Records one request that has ended. */
  record(event: RequestEvent): void
}

/** Undefined when `@opentelemetry/api` is not installed. */
export async function loadOtelMetrics(): Promise<OtelMetrics | undefined> {
  let api: typeof import('@opentelemetry/api')
  try {
    api = await import('@opentelemetry/api')
  } catch {
    return undefined
  }
  return otelMetrics(api.metrics.getMeter('cosmos-embed', VERSION))
}

function otelMetrics(meter: Meter): OtelMetrics {
  const duration = meter.createHistogram('gen_ai.server.request.duration', {
    description: 'Time from the request line to the response.',
    unit: 's',
    advice: { explicitBucketBoundaries: secondsBounds },
  })
  let model: string | undefined
  return {
    attach: (embedder) => {
      model = embedder.info().model.id
      return meterEmbedder(meter, embedder, { 'gen_ai.request.model': model })
    },
    record: ({ requestType, status, code, milliseconds }) =>
      duration.record(milliseconds / 1000, {
        'gen_ai.provider.name': 'cosmos-embed',
        'gen_ai.operation.name': requestType === 'segments' ? 'segments' : 'embeddings',
        ...(model !== undefined && { 'gen_ai.request.model': model }),
        'cosmos_embed.request_type': requestType,
        'http.response.status_code': status,
        ...(code !== undefined && { 'error.type': code }),
      }),
  }
}
