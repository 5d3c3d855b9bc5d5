/**
 * A provider for the AI SDK. It follows version 3 of the SDK's interface, which AI SDK 6 and 7 both take. The types are
 * written out here, so that neither this package nor its types need one of the SDK.
 */
import type { AnyEmbedder } from '../client/types.ts'
import { InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import type { ItemInput } from '../types.ts'
import { type MediaStringOptions, videoFrom } from './media-string.ts'

export interface CosmosEmbedOptions {
  /**
   * Whether values that are videos may be paths and `file:` URLs. Leave it off where users of a website choose the
   * values. Default false.
   */
  files?: boolean | undefined
}

/** What `providerOptions.cosmosEmbed` may hold. */
export interface CosmosEmbedProviderOptions {
  /** Whether the values are texts, or videos: https URLs, `data:` URIs with base64, or files where allowed. Default `text`. */
  input?: 'text' | 'video' | undefined
}

export type CosmosEmbedWarning =
  | { type: 'unsupported'; feature: string; details?: string }
  | { type: 'other'; message: string }

export interface CosmosEmbedCallOptions {
  values: string[]
  abortSignal?: AbortSignal | undefined
  /** Only its `cosmosEmbed` is looked at. */
  providerOptions?: Record<string, Record<string, unknown>> | undefined
  /** Of AI SDK 7. */
  dimensions?: number | undefined
  headers?: Record<string, string | undefined> | undefined
}

export interface CosmosEmbedModel {
  readonly specificationVersion: 'v3'
  readonly provider: string
  readonly modelId: string
  readonly maxEmbeddingsPerCall: number
  readonly supportsParallelCalls: boolean
  /** Rejects with a CosmosEmbedError, or with the reason of `abortSignal`. */
  doEmbed(options: CosmosEmbedCallOptions): Promise<{
    embeddings: number[][]
    usage: { tokens: number }
    warnings: CosmosEmbedWarning[]
  }>
}

export interface CosmosEmbedProvider {
  readonly specificationVersion: 'v3'
  /** Without an id: the model that the embedder has. With one that it does not have, calls are refused. */
  embeddingModel(modelId?: string): CosmosEmbedModel
  textEmbeddingModel(modelId?: string): CosmosEmbedModel
  /** Throws: there is none. */
  languageModel(modelId: string): never
  /** Throws: there is none. */
  imageModel(modelId: string): never
}

const ownModel = 'cosmos-embed'

/**
 * ```ts
 * const cosmos = cosmosEmbed(embedder)
 * const { embedding } = await embed({ model: cosmos.embeddingModel(), value: 'a red car' })
 * ```
 *
 * The embedder stays the caller's, who disposes of it.
 */
export function cosmosEmbed(embedder: AnyEmbedder, options: CosmosEmbedOptions = {}): CosmosEmbedProvider {
  const files = options.files === true
  const embeddingModel = (modelId: string = ownModel) => modelOf(embedder, modelId, { files })
  return {
    specificationVersion: 'v3',
    embeddingModel,
    textEmbeddingModel: embeddingModel,
    languageModel: (modelId) => {
      throw noSuchModel(modelId, 'languageModel')
    },
    imageModel: (modelId) => {
      throw noSuchModel(modelId, 'imageModel')
    },
  }
}

function modelOf(embedder: AnyEmbedder, modelId: string, strings: MediaStringOptions): CosmosEmbedModel {
  return {
    specificationVersion: 'v3',
    provider: 'cosmos-embed',
    modelId,
    maxEmbeddingsPerCall: 64,
    // The embedder decides how much of it runs at one time.
    supportsParallelCalls: true,
    doEmbed: async ({ values, abortSignal, providerOptions, dimensions }) => {
      const input = inputKind(providerOptions?.cosmosEmbed)
      const items = values.map((value, index): ItemInput => {
        if (input === 'text') return { text: value }
        return blaming(index, () => ({ video: videoFrom(value, strings) }))
      })
      const answer = await embedder.embed(
        {
          // One value is what somebody waits for.
          request_type: values.length === 1 ? 'query' : input === 'text' ? 'bulk_text' : 'bulk_video',
          input: items,
          ...(modelId !== ownModel && { model: modelId }),
        },
        { signal: abortSignal },
      )
      // JSON is made of them, which knows no typed arrays.
      const embeddings = answer.data.map(({ embedding }) => Array.from(embedding as Float32Array))
      return {
        embeddings,
        usage: { tokens: answer.usage.prompt_tokens },
        warnings: [
          ...dimensionWarning(dimensions, embeddings[0]?.length),
          ...answer.warnings.map(({ message }) => ({ type: 'other' as const, message })),
        ],
      }
    },
  }
}

function inputKind(options: CosmosEmbedProviderOptions | undefined): 'text' | 'video' {
  const unknown = Object.keys(options ?? {}).find((name) => name !== 'input')
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`providerOptions.cosmosEmbed: unknown field "${unknown.slice(0, 60)}"`)
  }
  const { input = 'text' } = options ?? {}
  if (input === 'text' || input === 'video') return input
  throw new InvalidArgumentError('providerOptions.cosmosEmbed.input: must be "text" or "video"')
}

/** To cut a vector would leave one that fits no other of the model. */
function dimensionWarning(wanted: number | undefined, found: number | undefined): CosmosEmbedWarning[] {
  if (wanted === undefined || wanted === found) return []
  const details = `vectors of this model have ${found} dimensions, always`
  return [{ type: 'unsupported', feature: 'dimensions', details }]
}

function blaming<T>(index: number, make: () => T): T {
  try {
    return make()
  } catch (error) {
    const { message } = error as Error
    throw new InvalidRequestError(message, { index, cause: error })
  }
}

/** The SDK knows its errors by these marks, and goes on to its next provider. */
function noSuchModel(modelId: string, modelType: string): Error {
  const error = new Error(`cosmos-embed has no ${modelType}: it embeds`)
  error.name = 'AI_NoSuchModelError'
  return Object.assign(error, {
    modelId,
    modelType,
    [Symbol.for('vercel.ai.error')]: true,
    [Symbol.for('vercel.ai.error.AI_NoSuchModelError')]: true,
  })
}
