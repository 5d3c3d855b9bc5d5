/** `embed`: one embedder for the whole process. */
import { abortable } from './base/abort.ts'
import { checkCall } from './call/call-options.ts'
import { createEmbedder } from './embedder.ts'
import { adoptStreams } from './source/input-streams.ts'
import type {
  Base64Request,
  Embedder,
  EmbedOptions,
  EmbedRequest,
  EmbedResponse,
  FloatRequest,
} from './types.ts'

let shared: Promise<Embedder> | undefined

/**
 * Embeds a documented request with an embedder that the whole process shares and whose options are all at their defaults.
 *
 * The first call creates the embedder; if that fails, the call rejects as `createEmbedder` does and the next one tries
 * again. The shared embedder does not keep the process alive. Otherwise as `Embedder.embed`.
 *
 * ```js
 * import { embed } from 'cosmos-embed'
 *
 * const { data } = await embed({ request_type: 'query', input: 'a red car turning left' })
 * console.log(data[0].embedding.length)
 * ```
 */
export function embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
export function embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
export function embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
export async function embed(request: EmbedRequest, options: EmbedOptions = {}): Promise<EmbedResponse> {
  // Before the model is loaded: a stream may fail while it loads.
  const release = adoptStreams((request as EmbedRequest | undefined)?.input)
  try {
    return await embedShared(request, options)
  } finally {
    release()
  }
}

async function embedShared(request: EmbedRequest, options: EmbedOptions): Promise<EmbedResponse> {
  const { signal } = checkCall('embed', options)
  shared ??= createEmbedder().catch((error) => {
    shared = undefined
    throw error
  })
  // An abort ends this caller's wait only: others wait for the same model.
  const embedder = await abortable(shared, signal)
  return embedder.embed(request, options)
}
