/**
 * `cosmos-embed/opentelemetry`: metrics of an {@link Embedder} through `@opentelemetry/api`, which it needs. The program
 * installs an SDK and chooses where they go. A server of `cosmos-embed/http` does this by itself.
 */
import { type Attributes, type MeterProvider, metrics } from '@opentelemetry/api'
import { VERSION } from '../base/version.ts'
import type { Embedder } from '../types.ts'
import { meterEmbedder as meter } from './meter-embedder.ts'

/** Options of {@link meterEmbedder}. */
export interface MeterOptions {
  /** Default: the global provider, which an SDK sets. It must be set before the call. */
  meterProvider?: MeterProvider | undefined
  /** Attributes of every measurement. Needed to tell apart several embedders of one model. Default: the model's id. */
  attributes?: Attributes | undefined
}

/**
 * Records durations of items and stages, calls, batches, queues and what is in flight, until the returned function is
 * called. Names and units are in docs/observability.md. Not for the embedder of a server, which would count its items twice.
 *
 * ```js
 * import { createEmbedder } from 'cosmos-embed'
 * import { meterEmbedder } from 'cosmos-embed/opentelemetry'
 *
 * const embedder = await createEmbedder({ model: 'models/cosmos-embed1-224p' })
 * const stop = meterEmbedder(embedder)
 * ```
 */
export function meterEmbedder(embedder: Embedder, options: MeterOptions = {}): () => void {
  const { meterProvider = metrics.getMeterProvider(), attributes = {} } = options
  const { id } = embedder.info().model
  return meter(meterProvider.getMeter('cosmos-embed', VERSION), embedder, {
    'gen_ai.request.model': id,
    ...attributes,
  })
}
