/**
 * An embedding function for LanceDB, which asks for a subclass of its own base class: the module that has it is an
 * argument, so that this package needs neither it nor its types.
 */
import type { AnyEmbedder } from '../client/types.ts'
import { InvalidArgumentError, InvalidRequestError } from '../errors.ts'
import { isBytes } from '../source/type-guards.ts'
import type { ItemInput, VideoInput } from '../types.ts'
import { type MediaStringOptions, videoFrom } from './media-string.ts'

export interface CosmosFunctionOptions {
  /** Stays the caller's, who disposes of it. */
  embedder: AnyEmbedder
  /**
   * What the source column holds: texts, or videos as bytes, https URLs, `data:` URIs or, with `files`, paths. Either is
   * searched by text, and by bytes of a video. Default `text`.
   */
  source?: 'text' | 'video' | undefined
  /** Whether a string of the source column may be a path or a `file:` URL. Default false. */
  files?: boolean | undefined
  /** Under which a table remembers its function, so it must be the same whenever the table is opened. Default `cosmos-embed`. */
  name?: string | undefined
}

/** Of `@lancedb/lancedb/embedding`: what is used here. */
interface LanceModule<Any, Text> {
  readonly EmbeddingFunction: Any
  readonly TextEmbeddingFunction: Text
  register(name?: string): (made: never) => unknown
}

/** What a table keeps of its function. */
interface Kept {
  model?: string
  fingerprint?: string
  source?: string
}

type Source = string | Uint8Array | ArrayBuffer

/**
 * Makes the function and registers it under its name. A table that was made with it finds it there when it is opened,
 * which fails where its vectors are of another model.
 *
 * ```ts
 * import * as lance from '@lancedb/lancedb/embedding'
 * const cosmos = await cosmosFunction(lance, { embedder, source: 'video' })
 * const schema = lance.LanceSchema({ video: cosmos.sourceField(new Binary()), vector: cosmos.vectorField() })
 * ```
 *
 * Its calls reject with a CosmosEmbedError whose `index` names the row.
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
  const kept: Kept = {
    model: model.id,
    ...(model.fingerprint !== undefined && { fingerprint: model.fingerprint }),
    source,
  }
  // Abstract to its types; to JavaScript it is a class.
  const Base = module.TextEmbeddingFunction as unknown as new () => {
    sourceField(type?: unknown): unknown
  }

  class CosmosFunction extends Base {
    constructor(found?: Kept) {
      super()
      refuseOther(found, kept, name)
    }

    toJSON(): Kept {
      return kept
    }

    ndims(): number {
      return model.embeddingDim
    }

    /** Utf8, or the type that is named, such as `new Binary()`. */
    override sourceField(type?: unknown): unknown {
      if (type === undefined) return super.sourceField()
      // The class of texts has put its own in place of the one that takes a type.
      const ofAny = Object.getPrototypeOf(Base.prototype) as typeof Base.prototype
      return ofAny.sourceField.call(this, type)
    }

    async computeSourceEmbeddings(rows: readonly Source[]): Promise<Float32Array[]> {
      const items = Array.from(rows, (row, index): ItemInput => {
        return source === 'text' ? { text: textOf(row, index) } : { video: mediaOf(row, index, { files }) }
      })
      const settled = await embedder.embedMany(items)
      return settled.map((one) => {
        if (one.status === 'rejected') throw one.reason
        return one.value.embedding
      })
    }

    generateEmbeddings(rows: readonly Source[]): Promise<Float32Array[]> {
      return this.computeSourceEmbeddings(rows)
    }

    async computeQueryEmbeddings(query: Source): Promise<Float32Array> {
      const found = await (isBytes(query) ? embedder.embedVideo(query) : embedder.embedText(query))
      return found.embedding
    }
  }
  module.register(name)(CosmosFunction as never)
  return new CosmosFunction()
}

/** To search by one model in the vectors of another finds nothing, and says nothing. */
function refuseOther(found: Kept | undefined, { model, fingerprint }: Kept, name: string): void {
  const other =
    found?.fingerprint !== undefined && fingerprint !== undefined && found.fingerprint !== fingerprint
  if (!other && (found?.model ?? model) === model) return
  throw new InvalidArgumentError(
    `the vectors of this table are of the model ${found?.model} (${found?.fingerprint ?? 'of unknown files'}), and the ` +
      `embedder of "${name}" has ${model} (${fingerprint ?? 'of unknown files'}): they do not compare`,
  )
}

function textOf(row: Source, index: number): string {
  if (typeof row === 'string') return row
  throw new InvalidRequestError('a row of the source column is no text', { index })
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
