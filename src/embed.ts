import { abortable } from './base/abort.ts'
import { checkCall } from './call/call-options.ts'
import { createEmbedder } from './embedder.ts'
import { adoptStreams } from './source/type-guards.ts'
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
 * `Embedder.embed` of one embedder that the whole process shares, with every option at its default. It is created by
 * the first call; when that fails, the next call tries again. It does not keep the process alive.
 */
export function embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
export function embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
export function embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
export async function embed(request: EmbedRequest, options: EmbedOptions = {}): Promise<EmbedResponse> {
  // Streams may fail while the model is loading, too.
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
  // A caller who gives up does not take the model away from the others who wait for it.
  const embedder = await abortable(shared, signal)
  return embedder.embed(request, options)
}
