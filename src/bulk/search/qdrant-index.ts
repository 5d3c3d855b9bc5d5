/** Searches a collection of Qdrant. */
import type { QdrantClient } from '@qdrant/js-client-rest'
import { collectionStatus, qdrantClient, withCollectionErrors } from '../qdrant.ts'
import type { IndexDescription } from '../sink.ts'
import { storedRow } from './stored-row.ts'
import { CheckedIndex, type IndexHit, type VectorIndex } from './vector-index.ts'

/** Opens the collection for searches. */
export async function openQdrantIndex(
  dest: string,
  name: string,
  description: IndexDescription,
): Promise<VectorIndex> {
  const { rows = 0 } = (await collectionStatus(dest, name)) ?? {}
  return new QdrantIndex(await qdrantClient(dest), name, description, rows)
}

class QdrantIndex extends CheckedIndex {
  readonly #client: QdrantClient
  readonly #name: string

  constructor(client: QdrantClient, name: string, description: IndexDescription, rows: number) {
    super(description, rows)
    this.#client = client
    this.#name = name
  }

  protected async nearest(query: Float32Array, top: number): Promise<IndexHit[]> {
    const request = { query: Array.from(query), limit: top, with_payload: true }
    const { points } = await withCollectionErrors(this.#name, () => this.#client.query(this.#name, request))
    return points.map(({ payload, score }) => ({ ...storedRow(payload ?? {}, this.description), score }))
  }

  async close(): Promise<void> {}
}
