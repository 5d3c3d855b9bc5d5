/** The sink for a collection of Qdrant. */
import type { QdrantClient } from '@qdrant/js-client-rest'
import { InvalidArgumentError } from '../errors.ts'
import { agree } from './description.ts'
import { pointId, qdrantClient, readCollection, withCollectionErrors } from './qdrant.ts'
import type { IndexDescription, IndexedItem, IndexRow, VectorSink } from './sink.ts'

/** Field of a point with the number of rows that its item has. */
const ITEM_ROWS = 'item_rows'

/** Points fetched at a time. */
const PAGE = 10_000

/** Numbers of the vectors in one request: about 6 MB of JSON, where Qdrant accepts 32 MB by default. */
const REQUEST_NUMBERS = 500_000

/**
 * A sink that writes a collection of Qdrant. `url` is `qdrant://HOST:PORT`, or `qdrants://HOST:PORT` for https; the API key is
 * read from the environment variable QDRANT_API_KEY. The collection is created if it does not exist, and its metadata holds
 * the description of the index. Any number of processes may write to it at once; the rows of an item replace its former rows.
 *
 * Qdrant has no transactions: a search may find some windows of a video before the others are written. Each point knows how
 * many its item has, so an item whose writing was interrupted is not held and is written again.
 *
 * Needs the package `@qdrant/js-client-rest` and Qdrant 1.16 or newer. `open` rejects with InvalidArgumentError if one is
 * missing or if the collection is not an index that this run may add to, and with SourceError if the server fails.
 */
export function qdrantSink(url: string, collection: string): VectorSink {
  return new QdrantSink(url, collection)
}

class QdrantSink implements VectorSink {
  readonly #url: string
  readonly #name: string
  #opened: { client: QdrantClient; description: IndexDescription } | undefined

  constructor(url: string, collection: string) {
    this.#url = url
    this.#name = collection
  }

  async open(wanted: IndexDescription): Promise<void> {
    if (Object.hasOwn(wanted.columns, ITEM_ROWS)) {
      throw new InvalidArgumentError(
        `column "${ITEM_ROWS}" of the manifest has a name that the index in Qdrant itself uses: give it another one`,
      )
    }
    const client = await qdrantClient(this.#url)
    const description = await withCollectionErrors(this.#name, () => this.#describe(client, wanted))
    agree(description, wanted, `the Qdrant collection ${this.#name}`)
    // The rows of an item are found and deleted by this field.
    const index = { field_name: 'item', field_schema: 'keyword', wait: true } as const
    await withCollectionErrors(this.#name, () => client.createPayloadIndex(this.#name, index))
    this.#opened = { client, description }
  }

  async *held(): AsyncGenerator<string, void, undefined> {
    const { client } = this.#needsOpen()
    /** Items of which some rows, but not yet all, have been read. */
    const counts = new Map<string, number>()
    const options = { limit: PAGE, with_payload: ['item', ITEM_ROWS], with_vector: false }
    let offset: Scrolled['next_page_offset']
    do {
      const page: Scrolled = await withCollectionErrors(this.#name, () =>
        client.scroll(this.#name, { ...options, ...(offset != null && { offset }) }),
      )
      for (const { payload } of page.points) {
        const { item, [ITEM_ROWS]: all } = payload as { item: string; [ITEM_ROWS]: number }
        const count = (counts.get(item) ?? 0) + 1
        if (count < all) counts.set(item, count)
        else {
          counts.delete(item)
          yield item
        }
      }
      offset = page.next_page_offset
    } while (offset != null)
  }

  async write(items: readonly IndexedItem[]): Promise<void> {
    const { client, description } = this.#needsOpen()
    // Of an item that occurs twice, the later rows count.
    const latest = [...new Map(items.map((item) => [item.id, item])).values()]
    const points = latest.flatMap((item) => item.rows.map((row) => pointOf(item, row)))
    const former = { must: [{ key: 'item', match: { any: latest.map(({ id }) => id) } }] }
    const size = Math.max(1, Math.floor(REQUEST_NUMBERS / description.model.embeddingDim))
    await withCollectionErrors(this.#name, async () => {
      const first = points.slice(0, size)
      const operations = [
        { delete: { filter: former } },
        ...(first.length > 0 ? [{ upsert: { points: first } }] : []),
      ]
      await client.batchUpdate(this.#name, { wait: true, operations })
      for (let from = size; from < points.length; from += size) {
        await client.upsert(this.#name, { wait: true, points: points.slice(from, from + size) })
      }
    })
  }

  async close(): Promise<void> {
    this.#opened = undefined
  }

  async #describe(client: QdrantClient, wanted: IndexDescription): Promise<IndexDescription> {
    const existing = await readCollection(client, this.#name)
    if (existing) return existing
    try {
      // The method of the client of the same name leaves out the metadata.
      await client.api().createCollection({
        collection_name: this.#name,
        // The vectors have unit length, so this is the cosine, and Qdrant keeps them as they are.
        vectors: { size: wanted.model.embeddingDim, distance: 'Dot' },
        metadata: { cosmos_embed: wanted },
      })
    } catch (failure) {
      // Another process may have created it at the same moment.
      const created = await readCollection(client, this.#name).catch(() => undefined)
      if (created) return created
      throw failure
    }
    const { config } = await client.getCollection(this.#name)
    if (config.metadata) return wanted
    await client.deleteCollection(this.#name)
    throw new InvalidArgumentError(
      'this Qdrant does not keep the metadata of a collection, which tells the model of its vectors: it must be 1.16 or newer',
    )
  }

  #needsOpen(): { client: QdrantClient; description: IndexDescription } {
    if (this.#opened) return this.#opened
    throw new InvalidArgumentError('the sink was used before open() or after close()')
  }
}

type Scrolled = Awaited<ReturnType<QdrantClient['scroll']>>

function pointOf(item: IndexedItem, { id, embedding, carried, ...row }: IndexRow) {
  return {
    id: pointId(id),
    // Nine significant digits identify every float32.
    vector: Array.from(embedding, (value) => Number(value.toPrecision(9))),
    payload: { ...carried, ...row, id, item: item.id, [ITEM_ROWS]: item.rows.length },
  }
}
