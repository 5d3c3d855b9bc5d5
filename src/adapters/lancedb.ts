/**
 * `cosmos-embed/lancedb`: an embedding function for LanceDB. LanceDB requires a subclass of its own base class, so its
 * module is an argument: this package does not depend on LanceDB.
 */
import type { AnyEmbedder } from '../client/types.ts'
import { InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import { isBytes } from '../source/type-guards.ts'
import type { ItemInput, VideoInput } from '../types.ts'
import { type MediaStringOptions, videoFrom } from './media-string.ts'

/** Options of {@link cosmosFunction}. */
export interface CosmosFunctionOptions {
  /** The caller keeps the embedder and disposes of it. */
  embedder: AnyEmbedder
  /**
   * What the source column holds: `text`, or `video` for bytes, https URLs, base64 `data:` URIs and, with `files`, paths.
   * Both kinds are searched by text, or by the bytes of a video. Default `text`.
   */
  source?: 'text' | 'video' | undefined
  /** Whether a string in the source column may be a path or a `file:` URL. Default false. */
  files?: boolean | undefined
  /**
   * The name under which LanceDB stores the function in a table. It must be the same whenever the table is opened. Default
   * `cosmos-embed`.
   */
  name?: string | undefined
}

/** The parts of `@lancedb/lancedb/embedding` that are used here. */
interface LanceModule<Any, Text> {
  readonly EmbeddingFunction: Any
  readonly TextEmbeddingFunction: Text
  register(name?: string): (made: never) => unknown
}

/** The function's configuration, which LanceDB stores in the table. */
interface StoredConfig {
  model?: string
  fingerprint?: string
  source?: string
}

type Source = string | Uint8Array | ArrayBuffer

/**
 * Creates the embedding function and registers it under its name. Opening a table that was created with it looks it up
 * there, and fails with InvalidArgumentError if the table's vectors come from another model.
 *
 * ```ts
 * import * as lance from '@lancedb/lancedb/embedding'
 * const cosmos = await cosmosFunction(lance, { embedder, source: 'video' })
 * const schema = lance.LanceSchema({ video: cosmos.sourceField(new Binary()), vector: cosmos.vectorField() })
 * ```
 *
 * The function's calls reject with a CosmosEmbedError whose `index` is the row's. Rejects with InvalidArgumentError for a
 * wrong option, and as `embedder.info()` does.
 */
export async function cosmosFunction<
  Any extends { readonly prototype: object },
  Text extends { readonly prototype: object },
>(
  module: LanceModule<Any, Text>,
  options: CosmosFunctionOptions,
): Promise<Any['prototype'] & Text['prototype']> {
  const { embedder, source = 'text', files = false, name = 'cosmos-embed' } = options
  if (source !== 'text' && source !== 'video') {
    throw new InvalidArgumentError('options.source: must be "text" or "video"')
  }
  const { model } = await embedder.info()
  const config: StoredConfig = {
    model: model.id,
    ...(model.fingerprint !== undefined && { fingerprint: model.fingerprint }),
    source,
  }
  // Abstract only in TypeScript.
  const Base = module.TextEmbeddingFunction as unknown as new () => {
    sourceField(type?: unknown): unknown
  }

  class CosmosFunction extends Base {
    constructor(stored?: StoredConfig) {
      super()
      assertSameModel(stored, config, name)
    }

    toJSON(): StoredConfig {
      return config
    }

    ndims(): number {
      return model.embeddingDim
    }

    /** Default type: Utf8. Columns of bytes need `new Binary()`. */
    override sourceField(type?: unknown): unknown {
      if (type === undefined) return super.sourceField()
      // TextEmbeddingFunction overrides the method of EmbeddingFunction that takes a type.
      const grandparent = Object.getPrototypeOf(Base.prototype) as typeof Base.prototype
      return grandparent.sourceField.call(this, type)
    }

    async computeSourceEmbeddings(rows: readonly Source[]): Promise<Float32Array[]> {
      const items = Array.from(rows, (row, index): ItemInput => {
        return source === 'text' ? { text: textOf(row, index) } : { video: mediaOf(row, index, { files }) }
      })
      const settled = await embedder.embedMany(items)
      return settled.map((result) => {
        if (result.status === 'rejected') throw result.reason
        return result.value.embedding
      })
    }

    generateEmbeddings(rows: readonly Source[]): Promise<Float32Array[]> {
      return this.computeSourceEmbeddings(rows)
    }

    async computeQueryEmbeddings(query: Source): Promise<Float32Array> {
      const result = await (isBytes(query) ? embedder.embedVideo(query) : embedder.embedText(query))
      return result.embedding
    }
  }
  module.register(name)(CosmosFunction as never)
  return new CosmosFunction()
}

/** Searching the vectors of one model with those of another would silently return wrong rows. */
function assertSameModel(
  stored: StoredConfig | undefined,
  { model, fingerprint }: StoredConfig,
  name: string,
): void {
  const isOther =
    stored?.fingerprint !== undefined && fingerprint !== undefined && stored.fingerprint !== fingerprint
  if (!isOther && (stored?.model ?? model) === model) return
  throw new InvalidArgumentError(
    `the vectors of this table are of the model ${stored?.model} (fingerprint ${stored?.fingerprint ?? 'unknown'}), but ` +
      `the embedder of "${name}" has ${model} (fingerprint ${fingerprint ?? 'unknown'}): they cannot be compared`,
  )
}

function textOf(row: Source, index: number): string {
  if (typeof row === 'string') return row
  throw new InvalidRequestError('a row of the source column is not a text', { index })
}

function mediaOf(row: Source, index: number, strings: MediaStringOptions): VideoInput['video'] {
  if (isBytes(row)) return row
  if (typeof row !== 'string') {
    throw new InvalidRequestError('a row of the source column is neither bytes nor a string', { index })
  }
  try {
    return videoFrom(row, strings)
  } catch (cause) {
    throw new InvalidRequestError((cause as Error).message, { index, cause })
  }
}
