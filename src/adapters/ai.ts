/**
 * `cosmos-embed/ai`: a provider for the AI SDK. It implements version 3 of the SDK's provider interface, which AI SDK 6 and
 * 7 accept. The types are written out here, so that this package does not depend on the SDK.
 */
import type { AnyEmbedder } from '../client/types.ts'
import { InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import type { ItemInput } from '../types.ts'
import { type MediaStringOptions, videoFrom } from './media-string.ts'

/** Options of {@link cosmosEmbed}. */
export interface CosmosEmbedOptions {
  /**
   * Whether video values may be paths and `file:` URLs. Leave it off if users of a website choose the values: they could
   * read files of the server. Default false.
   */
  files?: boolean | undefined
}

/** The options in `providerOptions.cosmosEmbed` of a call. */
export interface CosmosEmbedProviderOptions {
  /**
   * What the values are: `text`, or `video` for https URLs, base64 `data:` URIs and, with `files`, paths. Default `text`.
   */
  input?: 'text' | 'video' | undefined
}

/** A warning of a call, in the form of the AI SDK. */
export type CosmosEmbedWarning =
  | { type: 'unsupported'; feature: string; details?: string }
  | { type: 'other'; message: string }

/** What the SDK passes to {@link CosmosEmbedModel.doEmbed}. */
export interface CosmosEmbedCallOptions {
  /** At most 64. */
  values: string[]
  abortSignal?: AbortSignal | undefined
  /** Only `cosmosEmbed` is read; see {@link CosmosEmbedProviderOptions}. */
  providerOptions?: Record<string, Record<string, unknown>> | undefined
  /** AI SDK 7 only. Anything but the model's own dimension is ignored with a warning. */
  dimensions?: number | undefined
  /** Ignored: the embedder has its own headers. */
  headers?: Record<string, string | undefined> | undefined
}

/** An embedding model of the AI SDK. */
export interface CosmosEmbedModel {
  readonly specificationVersion: 'v3'
  readonly provider: string
  readonly modelId: string
  readonly maxEmbeddingsPerCall: number
  readonly supportsParallelCalls: boolean
  /** One vector per value, in order. Rejects with a CosmosEmbedError, or with the reason of `abortSignal`. */
  doEmbed(options: CosmosEmbedCallOptions): Promise<{
    embeddings: number[][]
    usage: { tokens: number }
    warnings: CosmosEmbedWarning[]
  }>
}

/** A provider of the AI SDK. */
export interface CosmosEmbedProvider {
  readonly specificationVersion: 'v3'
  /** Default: the embedder's model. Calls of a model that the embedder does not have are rejected. */
  embeddingModel(modelId?: string): CosmosEmbedModel
  /** The same as `embeddingModel`: the SDK's older name. */
  textEmbeddingModel(modelId?: string): CosmosEmbedModel
  /** Always throws `NoSuchModelError`: this provider has no language models. */
  languageModel(modelId: string): never
  /** Always throws `NoSuchModelError`: this provider has no image models. */
  imageModel(modelId: string): never
}

/** The model id that stands for whatever model the embedder has. */
const defaultModelId = 'cosmos-embed'

/**
 * Creates a provider for the AI SDK's `embed` and `embedMany`. The caller keeps the embedder and disposes of it.
 *
 * ```ts
 * const cosmos = cosmosEmbed(embedder)
 * const { embedding } = await embed({ model: cosmos.embeddingModel(), value: 'a red car' })
 * ```
 *
 * Pass `providerOptions: { cosmosEmbed: { input: 'video' } }` to embed videos.
 */
export function cosmosEmbed(embedder: AnyEmbedder, options: CosmosEmbedOptions = {}): CosmosEmbedProvider {
  const files = options.files === true
  const embeddingModel = (modelId: string = defaultModelId) => createModel(embedder, modelId, { files })
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

function createModel(embedder: AnyEmbedder, modelId: string, strings: MediaStringOptions): CosmosEmbedModel {
  return {
    specificationVersion: 'v3',
    provider: 'cosmos-embed',
    modelId,
    maxEmbeddingsPerCall: 64,
    // The embedder limits its own concurrency.
    supportsParallelCalls: true,
    doEmbed: async ({ values, abortSignal, providerOptions, dimensions }) => {
      const input = inputKind(providerOptions?.cosmosEmbed)
      const items = values.map((value, index): ItemInput => {
        if (input === 'text') return { text: value }
        return withIndexOnError(index, () => ({ video: videoFrom(value, strings) }))
      })
      const response = await embedder.embed(
        {
          // A single value is most likely a user's query.
          request_type: values.length === 1 ? 'query' : input === 'text' ? 'bulk_text' : 'bulk_video',
          input: items,
          ...(modelId !== defaultModelId && { model: modelId }),
        },
        { signal: abortSignal },
      )
      // Plain arrays: typed arrays do not survive JSON.
      const embeddings = response.data.map(({ embedding }) => Array.from(embedding as Float32Array))
      return {
        embeddings,
        usage: { tokens: response.usage.prompt_tokens },
        warnings: [
          ...dimensionWarning(dimensions, embeddings[0]?.length),
          ...response.warnings.map(({ message }) => ({ type: 'other' as const, message })),
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

/** Vectors are never truncated: a shorter one could not be compared with others of the model. */
function dimensionWarning(wanted: number | undefined, found: number | undefined): CosmosEmbedWarning[] {
  if (wanted === undefined || wanted === found) return []
  const details = `vectors of this model always have ${found} dimensions`
  return [{ type: 'unsupported', feature: 'dimensions', details }]
}

/** Runs `make`; an error becomes an InvalidRequestError with the index of the value. */
function withIndexOnError<T>(index: number, make: () => T): T {
  try {
    return make()
  } catch (error) {
    const { message } = error as Error
    throw new InvalidRequestError(message, { index, cause: error })
  }
}

/** The SDK recognises its errors by these symbols; a registry then tries its next provider. */
function noSuchModel(modelId: string, modelType: string): Error {
  const error = new Error(`cosmos-embed has no ${modelType}, only embedding models`)
  error.name = 'AI_NoSuchModelError'
  return Object.assign(error, {
    modelId,
    modelType,
    [Symbol.for('vercel.ai.error')]: true,
    [Symbol.for('vercel.ai.error.AI_NoSuchModelError')]: true,
  })
}
